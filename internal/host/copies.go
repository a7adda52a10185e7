package host

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/millrace/millrace/internal/frame"
	"github.com/millrace/millrace/internal/held"
)

// recordName is the object that is the record of a slot in a cut.
func recordName(slot int, at held.Ident) string {
	return fmt.Sprintf("records/%d/%d-%d-%d", slot, at.Gen, at.Inc, at.Epoch)
}

// recordOf is what the name of an object says, if it is that of a record.
func recordOf(name string) (slot int, at held.Ident, ok bool) {
	_, err := fmt.Sscanf(name, "records/%d/%d-%d-%d", &slot, &at.Gen, &at.Inc, &at.Epoch)
	return slot, at, err == nil && recordName(slot, at) == name
}

func writeRecord(ctx context.Context, to Objects, slot int, at held.Ident, b []byte) error {
	return to.Put(ctx, recordName(slot, at), bytes.NewReader(b))
}

func readRecord(ctx context.Context, from Objects, slot int, at held.Ident) (*held.Record, error) {
	b, err := readObject(ctx, from, recordName(slot, at))
	if err != nil {
		return nil, err
	}
	rec := &held.Record{}
	if err := held.Decode(b, rec); err != nil {
		return nil, fmt.Errorf("the record of slot %d in a cut: %w", slot, err)
	}
	return rec, nil
}

func readObject(ctx context.Context, from Objects, name string) ([]byte, error) {
	r, err := from.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// copies are the pieces of epochs of which copies are wanted. Frames stay as they are
// meanwhile: who performs this is the one that trims.
func (h *Host) copies(list []held.Kept) (pieces [][]byte) {
	h.mu.Lock()
	kept := make([][][]outFrame, len(list))
	for i := range list {
		kept[i] = h.out[copyID{list[i].Dst, list[i].Inc, list[i].Epoch}]
	}
	h.mu.Unlock()
	for i, classes := range kept {
		pieces = split(pieces, copyOf(&list[i]), copyBytes(classes)...)
	}
	return pieces
}

// copyBytes is what lies in a copy, one behind the other. Frames are not copied.
func copyBytes(classes [][]outFrame) (list [][]byte) {
	var numbers []byte
	number := func(n int) {
		at := len(numbers)
		numbers = binary.AppendUvarint(numbers, uint64(n))
		list = append(list, numbers[at:])
	}
	for _, frames := range classes {
		number(len(frames))
		for _, f := range frames {
			number(len(f))
			list = append(list, f)
		}
	}
	return list
}

// writeCopies makes copies durable.
func (h *Host) writeCopies(list []held.Kept, pieces [][]byte) error {
	var things []thing
	for i := range list {
		things = append(things, copyOf(&list[i]))
	}
	if err := h.append(things, pieces); err != nil {
		return err
	}
	h.do(func() { h.core.CopiesDurable(list) })
	return nil
}

var errCopy = errors.New("the copy of an epoch is damaged")

// restoreCopy takes back what a record names, to be sent in generation gen.
func (h *Host) restoreCopy(k *held.Kept, gen held.Gen, b []byte) error {
	var classes [][]outFrame
	for range h.shape.Classes() {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)) {
			return errCopy
		}
		b = b[size:]
		var frames []outFrame
		for range n {
			size, k := binary.Uvarint(b)
			if k <= 0 || size > uint64(len(b)-k) {
				return errCopy
			}
			f := b[k : k+int(size) : k+int(size)]
			head, _, err := frame.Decode(f, payloadMost)
			if err != nil || head.Codec != frame.Raw {
				return fmt.Errorf("%w: %w", errCopy, err)
			}
			head.Gen = uint64(gen)
			frame.Seal(f, &head)
			frames = append(frames, f)
			b = b[k+int(size):]
		}
		classes = append(classes, frames)
	}
	h.out[copyID{k.Dst, k.Inc, k.Epoch}] = classes
	return nil
}
