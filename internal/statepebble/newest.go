package statepebble

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// newestName is a file that says which epoch was committed last: its number and a
// checksum. It is written behind each commit, without a sync, and thus never ahead
// of what is durable. If recovery finds less, files are damaged: a crash alone loses
// nothing that was committed.
const newestName = "newest"

type newest struct{ f vfs.File }

// openNewest opens the file, or makes it, and reads the number: 0 if there is none.
func openNewest(fs vfs.FS, dir string) (*newest, uint64, error) {
	name := fs.PathJoin(dir, newestName)
	var epoch uint64
	b, err := readFile(fs, name)
	switch {
	case err != nil && !isNotExist(err):
		return nil, 0, err
	case len(b) >= 12 && crc32.ChecksumIEEE(b[:8]) == binary.LittleEndian.Uint32(b[8:]):
		epoch = binary.LittleEndian.Uint64(b)
	}
	f, err := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, 0, err
	}
	return &newest{f}, epoch, nil
}

func (n *newest) set(epoch uint64) error {
	b := binary.LittleEndian.AppendUint64(nil, epoch)
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	_, err := n.f.WriteAt(b, 0)
	return err
}

func (n *newest) close() error { return n.f.Close() }

// lost compares the epoch that recovery has found with the one that was committed
// last. One that is lost is given up, with a sentence; more are not.
func lost(found, newest uint64) (sentence string, err error) {
	switch {
	case found >= newest:
		return "", nil
	case found+1 == newest:
		return fmt.Sprintf("epoch %d was committed but can't be read any more, for a file is damaged or missing: going on from epoch %d, so that effects of epoch %d may be seen twice", newest, found, newest), nil
	}
	return "", &DamageError{Err: fmt.Errorf("epoch %d was committed, but only epoch %d can be read", newest, found)}
}
