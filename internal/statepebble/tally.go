package statepebble

import (
	"encoding/binary"
	"fmt"
	"io"
)

// sum adds tallies, of eight bytes, the most significant first.
type sum struct{ n uint64 }

func newSum(v []byte) (*sum, error) {
	s := &sum{}
	return s, s.MergeNewer(v)
}

func (s *sum) MergeNewer(v []byte) error {
	n, err := decodeCount(v)
	s.n += n
	return err
}

func (s *sum) MergeOlder(v []byte) error { return s.MergeNewer(v) }

func (s *sum) Finish(bool) ([]byte, io.Closer, error) { return appendCount(nil, s.n), nil, nil }

func appendCount(b []byte, n uint64) []byte { return binary.BigEndian.AppendUint64(b, n) }

func decodeCount(v []byte) (uint64, error) {
	if len(v) != 8 {
		return 0, fmt.Errorf("a count of %d bytes", len(v))
	}
	return binary.BigEndian.Uint64(v), nil
}
