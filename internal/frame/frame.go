// Package frame is the form in which batches of elements and the ends of epochs go
// from one slot to another: a fixed header, a sum, and a payload that may be
// compressed. It is pure; docs/format/frame.md is the format.
package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/s2"
)

const (
	magic   = 0x5246524d // "MRFR"
	version = 1
)

// Size is the length of the header in bytes.
const Size = 104

// Kind is what a frame carries.
type Kind uint8

const (
	Data     Kind = 1 // a batch of one edge for one lane
	EpochEnd Kind = 2 // what is to be known of an epoch when all its frames for one slot are there
)

// Codec is how the payload is packed.
type Codec uint8

const (
	Raw Codec = 0
	S2  Codec = 1
)

// Header is what a frame says about itself. Codec and RawLen are results: they are
// set by [Append], [Seal] and [Decode], and not looked at before.
type Header struct {
	Job    uint64 // hash of the job's name: frames of others are refused
	Gen    uint64 // generation of the job
	Inc    uint64 // incarnation of Src whose epoch it is
	Epoch  uint64
	To     uint64 // incarnation of Dst, the newest that Src knew of when it was sent first; 0: none
	Colour uint64 // newest cut that Src had tagged

	Src, Dst   uint32 // slots
	Rank, Lane uint32 // the class: rank of the edge, lane of the receiver
	Edge       uint32 // number of the edge among the plan's inputs
	Frame      uint32 // counts the frames of a class in an epoch, from 0
	Count      uint32 // Data: elements. EpochEnd: frames of the epoch for Dst

	Kind   Kind
	Codec  Codec
	RawLen uint32 // of the payload when it is unpacked
}

// ErrDamaged is what bytes that are no whole frame are refused with: cut off,
// changed on the way, or never a frame. Nothing of them may be used.
var ErrDamaged = errors.New("damaged frame")

// ErrVersion is what a frame of another version is refused with.
var ErrVersion = errors.New("frame of another version of Millrace")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Append appends a frame with payload to b and returns it. With codec S2 the payload
// is compressed if that makes it smaller. Nothing is allocated when b has room for
// [Bound] more bytes. payload must not lie in b.
func Append(b []byte, h *Header, payload []byte, codec Codec) []byte {
	at := len(b)
	b = grow(b, Bound(len(payload), codec))
	packed := b[at+Size:]
	h.Codec, h.RawLen = Raw, uint32(len(payload))
	if codec == S2 {
		if small := s2.Encode(packed, payload); len(small) < len(payload) {
			h.Codec = S2
			b = b[:at+Size+len(small)]
		}
	}
	if h.Codec == Raw {
		b = b[:at+Size+copy(packed, payload)]
	}
	write(b[at:], h)
	return b
}

// Bound is the room that [Append] needs for a payload of n bytes.
func Bound(n int, codec Codec) int {
	if codec == S2 {
		return Size + s2.MaxEncodedLen(n)
	}
	return Size + n
}

// Seal makes a frame of b in place: its first [Size] bytes become the header of what
// follows them, which is not compressed.
func Seal(b []byte, h *Header) {
	h.Codec, h.RawLen = Raw, uint32(len(b)-Size)
	write(b, h)
}

// Decode reads a frame. packed is a part of b, for [Unpack]. A frame whose payload
// would be longer than max bytes, packed or not, is damaged.
func Decode(b []byte, max int) (h Header, packed []byte, err error) {
	if len(b) < Size || binary.LittleEndian.Uint32(b) != magic {
		return Header{}, nil, fmt.Errorf("%w: %d bytes that don't begin like one", ErrDamaged, len(b))
	}
	if v := b[8]; v != version {
		return Header{}, nil, fmt.Errorf("%w: version %d, and this is %d", ErrVersion, v, version)
	}
	head := int(binary.LittleEndian.Uint16(b[12:]))
	h = read(b)
	n := int64(binary.LittleEndian.Uint32(b[96:]))
	if head < Size || int64(len(b)) != int64(head)+n {
		return Header{}, nil, fmt.Errorf("%w: %d bytes, and not a header of %d and a payload of %d", ErrDamaged, len(b), head, n)
	}
	if n > int64(max) || int64(h.RawLen) > int64(max) {
		return Header{}, nil, fmt.Errorf("%w: a payload of %d bytes, unpacked %d, and at most %d may come", ErrDamaged, n, h.RawLen, max)
	}
	if got, want := crc32.Checksum(b[8:], castagnoli), binary.LittleEndian.Uint32(b[4:]); got != want {
		return Header{}, nil, fmt.Errorf("%w: sum %08x, and not %08x", ErrDamaged, got, want)
	}
	if h.Kind != Data && h.Kind != EpochEnd || h.Codec > S2 || h.Codec == Raw && int64(h.RawLen) != n {
		return Header{}, nil, fmt.Errorf("%w: kind %d, codec %d, %d bytes for %d", ErrDamaged, h.Kind, h.Codec, n, h.RawLen)
	}
	return h, b[head:], nil
}

// Unpack returns the payload of a frame that [Decode] has read: packed itself, or
// bytes in buf, which is grown if it is too small.
func Unpack(buf []byte, h *Header, packed []byte) ([]byte, error) {
	if h.Codec == Raw {
		return packed, nil
	}
	n, err := s2.DecodedLen(packed)
	if err != nil || n != int(h.RawLen) {
		return nil, fmt.Errorf("%w: compressed %d bytes, and not %d", ErrDamaged, n, h.RawLen)
	}
	buf = grow(buf[:0], n)
	if buf, err = s2.Decode(buf, packed); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return buf, nil
}

// grow makes b longer by n bytes, whatever they are.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) < n {
		b = append(make([]byte, 0, len(b)+n), b...)
	}
	return b[:len(b)+n]
}

func write(b []byte, h *Header) {
	le := binary.LittleEndian
	le.PutUint32(b, magic)
	b[8], b[9], b[10], b[11] = version, byte(h.Kind), byte(h.Codec), 0
	le.PutUint32(b[12:], Size)
	le.PutUint64(b[16:], h.Job)
	le.PutUint64(b[24:], h.Gen)
	le.PutUint64(b[32:], h.Inc)
	le.PutUint64(b[40:], h.Epoch)
	le.PutUint64(b[48:], h.To)
	le.PutUint64(b[56:], h.Colour)
	le.PutUint32(b[64:], h.Src)
	le.PutUint32(b[68:], h.Dst)
	le.PutUint32(b[72:], h.Rank)
	le.PutUint32(b[76:], h.Lane)
	le.PutUint32(b[80:], h.Edge)
	le.PutUint32(b[84:], h.Frame)
	le.PutUint32(b[88:], h.Count)
	le.PutUint32(b[92:], h.RawLen)
	le.PutUint32(b[96:], uint32(len(b)-Size))
	le.PutUint32(b[100:], 0)
	le.PutUint32(b[4:], crc32.Checksum(b[8:], castagnoli))
}

func read(b []byte) Header {
	le := binary.LittleEndian
	return Header{
		Kind: Kind(b[9]), Codec: Codec(b[10]),
		Job: le.Uint64(b[16:]), Gen: le.Uint64(b[24:]), Inc: le.Uint64(b[32:]),
		Epoch: le.Uint64(b[40:]), To: le.Uint64(b[48:]), Colour: le.Uint64(b[56:]),
		Src: le.Uint32(b[64:]), Dst: le.Uint32(b[68:]), Rank: le.Uint32(b[72:]), Lane: le.Uint32(b[76:]),
		Edge: le.Uint32(b[80:]), Frame: le.Uint32(b[84:]), Count: le.Uint32(b[88:]), RawLen: le.Uint32(b[92:]),
	}
}
