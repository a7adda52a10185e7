package savefile

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// sealed gives b the checksum that its frame should have, if it has one.
func sealed(b []byte) []byte {
	if len(b) < headSize+footerSize {
		return b
	}
	b = bytes.Clone(b)
	foot := b[len(b)-footerSize:]
	at, n := binary.BigEndian.Uint64(foot), binary.BigEndian.Uint64(foot[8:])
	facts, rec := binary.BigEndian.Uint64(b[len(magic)+4:]), binary.BigEndian.Uint64(b[len(magic)+12:])
	size := uint64(len(b))
	if facts > size || rec > size || n > size || at > size || at+n > size || uint64(headSize)+facts+rec > size {
		return b
	}
	crc := crc32.Update(0, castagnoli, b[:uint64(headSize)+facts+rec])
	crc = crc32.Update(crc, castagnoli, b[at:at+n])
	crc = crc32.Update(crc, castagnoli, foot[:16])
	binary.BigEndian.PutUint32(foot[16:], crc)
	return b
}

// Goal: a file whose checksums hold, but that nobody of us wrote, is an error or rows,
// and never a panic or more memory than its length justifies.
func FuzzOpen(f *testing.F) {
	b, err := os.ReadFile("testdata/v1.savepoint")
	require.NoError(f, err)
	require.Equal(f, b, sealed(b))
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		b = sealed(b)
		s, err := openAt(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		defer s.Close()
		for _, n := range s.Nodes() {
			_, _, _ = s.Get(n, 0, []byte("ant"), nil)
			_ = s.Scan(n, 0, nil, func(_, _ []byte) error { return nil })
			s.Size(n)
		}
		_ = s.Check()
	})
}
