package frame

import (
	"encoding/binary"
	"fmt"
)

// Mark is the watermark of an edge at the end of an epoch, the least over the lanes of
// the slot that sends.
type Mark struct {
	Edge uint32
	WM   int64 // event time in Unix milliseconds
	Idle bool  // the sender has nothing to say about the edge's time
}

const markSize = 13

// AppendMarks appends the bytes of marks to b.
func AppendMarks(b []byte, marks []Mark) []byte {
	for _, m := range marks {
		b = binary.LittleEndian.AppendUint32(b, m.Edge)
		b = binary.LittleEndian.AppendUint64(b, uint64(m.WM))
		b = append(b, 0)
		if m.Idle {
			b[len(b)-1] = 1
		}
	}
	return b
}

// DecodeMarks appends to marks those that [AppendMarks] has written. They have no sum of
// their own.
func DecodeMarks(marks []Mark, b []byte) ([]Mark, error) {
	if len(b)%markSize != 0 {
		return nil, fmt.Errorf("%w: marks of %d bytes", ErrDamaged, len(b))
	}
	for ; len(b) > 0; b = b[markSize:] {
		if b[12] > 1 {
			return nil, fmt.Errorf("%w: a mark with flags %d", ErrDamaged, b[12])
		}
		marks = append(marks, Mark{
			Edge: binary.LittleEndian.Uint32(b), WM: int64(binary.LittleEndian.Uint64(b[4:])), Idle: b[12] == 1,
		})
	}
	return marks, nil
}
