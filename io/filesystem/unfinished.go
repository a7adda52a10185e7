package filesystem

import (
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
)

// What follows is for those who write an FS.

const unfinishedEnd = ".partial"

// UnfinishedName is a new name for the unfinished file of name: hidden, and in the
// same folder.
func UnfinishedName(name string) string {
	return fmt.Sprintf(".%s.%08x%s", name, rand.Uint32(), unfinishedEnd)
}

// UnfinishedOf is the name of the file that an unfinished one will become; ok is
// false for the name of any other file.
func UnfinishedOf(name string) (of string, ok bool) {
	rest, hidden := strings.CutPrefix(name, ".")
	rest, partial := strings.CutSuffix(rest, unfinishedEnd)
	dot := len(rest) - 9
	if !hidden || !partial || dot < 1 || rest[dot] != '.' {
		return "", false
	}
	if _, err := strconv.ParseUint(rest[dot+1:], 16, 32); err != nil {
		return "", false
	}
	return rest[:dot], true
}

// Unfinished says what an unfinished file held when it was last made durable. The
// sum tells a file that was committed since from another one of the same path.
type Unfinished struct {
	Path string
	Size int64  // bytes
	Sum  uint32 // CRC-32C of them
}

// String is the form in which [Writer.Temp] gives it: path#size-sum.
func (u Unfinished) String() string { return fmt.Sprintf("%s#%d-%08x", u.Path, u.Size, u.Sum) }

// ParseUnfinished is the inverse of String.
func ParseUnfinished(temp string) (Unfinished, error) {
	bad := fmt.Errorf("%q does not name an unfinished file", temp)
	i := strings.LastIndexByte(temp, '#')
	if i < 0 {
		return Unfinished{}, bad
	}
	size, sum, ok := strings.Cut(temp[i+1:], "-")
	n, err := strconv.ParseInt(size, 10, 64)
	s, err2 := strconv.ParseUint(sum, 16, 32)
	if _, named := UnfinishedOf(temp[strings.LastIndexAny(temp[:i], `/\`)+1 : i]); !ok || !named || n < 0 || err != nil || err2 != nil {
		return Unfinished{}, bad
	}
	return Unfinished{temp[:i], n, uint32(s)}, nil
}

// Add accounts for b, written behind what u has.
func (u *Unfinished) Add(b []byte) {
	u.Size += int64(len(b))
	u.Sum = crc32.Update(u.Sum, castagnoli, b)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// At is u when it held offset bytes: if it was not then that it was made durable,
// they are read again. r reads the file.
func (u Unfinished) At(offset int64, r io.Reader) (Unfinished, error) {
	if offset == u.Size {
		return u, nil
	}
	out := Unfinished{Path: u.Path}
	n, err := io.Copy(&out, io.LimitReader(r, offset))
	if err == nil && n < offset {
		err = fmt.Errorf("%s holds %d bytes, not %d", u.Path, n, offset)
	}
	return out, err
}

// Write is Add, as an io.Writer.
func (u *Unfinished) Write(b []byte) (int, error) {
	u.Add(b)
	return len(b), nil
}

// CopyCommitted copies the first u.Size bytes of r, the file that u has become, to
// w; it is an error if they are not those that u had.
func (u Unfinished) CopyCommitted(w io.Writer, r io.Reader) error {
	var copied Unfinished
	if _, err := io.Copy(io.MultiWriter(w, &copied), io.LimitReader(r, u.Size)); err != nil {
		return err
	}
	if copied.Size != u.Size || copied.Sum != u.Sum {
		return fmt.Errorf("the unfinished file %s is gone, and the file there did not come of it", u.Path)
	}
	return nil
}
