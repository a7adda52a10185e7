package statelog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/commit"
)

// version is the one of all files of a log. What is newer is refused.
const version = 1

const (
	lockName = "LOCK"
	logExt   = ".log" // a segment: epochs
	ackExt   = ".ack" // which of a segment's epochs are committed
	tempExt  = ".tmp" // a segment that is not whole yet

	logMagic = "MILLRLOG"
	ackMagic = "MILLRACK"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum checks bytes of a file. seed is the sum of the file's header, so that no piece
// of one file passes for one of another.
func sum(seed uint32, b []byte) uint32 {
	const step = 256 << 10 // where a collection of garbage need not wait for the end
	for len(b) > step {
		seed, b = crc32.Update(seed, castagnoli, b[:step]), b[step:]
	}
	return crc32.Update(seed, castagnoli, b)
}

// header begins a segment, or the acknowledgements of one. docs/format/statelog.md
// has the picture.
type header struct {
	magic   string
	base    bool   // its first epoch holds all rows
	copied  bool   // its first epoch is also where it was written first
	revokes bool   // it was begun because an epoch failed, which files before it may seem to hold
	id      uint64 // of the log
	seq     uint64 // of the file, also in its name
	follows uint64 // the epoch that was newest when the file was begun
	chain   uint32 // of that epoch
}

// A header is written twice, so that no single damaged byte takes what only it says:
// which epochs of earlier files count no more.
const (
	headerHalf = 64
	headerSize = 2 * headerHalf
)

// The bits of a header's flags.
const (
	isBase = 1 << iota
	isCopied
	isRevoking
)

func (h *header) encode() []byte {
	b := make([]byte, headerHalf, headerSize)
	copy(b, h.magic)
	binary.LittleEndian.PutUint32(b[8:], version)
	if h.base {
		b[12] |= isBase
	}
	if h.copied {
		b[12] |= isCopied
	}
	if h.revokes {
		b[12] |= isRevoking
	}
	binary.LittleEndian.PutUint64(b[16:], h.id)
	binary.LittleEndian.PutUint64(b[24:], h.seq)
	binary.LittleEndian.PutUint64(b[32:], h.follows)
	binary.LittleEndian.PutUint32(b[40:], h.chain)
	binary.LittleEndian.PutUint32(b[60:], sum(0, b[:60]))
	return append(b, b...)
}

// seed is what the sums of the file begin with.
func (h *header) seed() uint32 { return binary.LittleEndian.Uint32(h.encode()[60:]) }

// errDamaged is what a header fails with that is none, or not whole.
var errDamaged = errors.New("damaged")

// decodeHeader reads the header of the file of that magic and number. It is
// commit.ErrNewer if the header is whole and of a later version: the first twelve
// bytes and the last four of a half have their places for good.
func decodeHeader(b []byte, magic string, seq uint64) (header, error) {
	h, err := decodeHalf(b, magic, seq)
	if errors.Is(err, errDamaged) && len(b) > headerHalf {
		if h, err := decodeHalf(b[headerHalf:], magic, seq); err == nil {
			return h, nil
		}
	}
	return h, err
}

func decodeHalf(b []byte, magic string, seq uint64) (header, error) {
	if len(b) < headerHalf {
		return header{}, fmt.Errorf("%w: the header is cut off", errDamaged)
	}
	b = b[:headerHalf]
	if string(b[:8]) != magic {
		return header{}, fmt.Errorf("%w: it does not begin with %s", errDamaged, magic)
	}
	if sum(0, b[:60]) != binary.LittleEndian.Uint32(b[60:]) {
		return header{}, fmt.Errorf("%w: the header does not have its checksum", errDamaged)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != version {
		return header{}, fmt.Errorf("format %d, where this one knows %d: %w", v, version, commit.ErrNewer)
	}
	h := header{
		magic:   magic,
		base:    b[12]&isBase != 0,
		copied:  b[12]&isCopied != 0,
		revokes: b[12]&isRevoking != 0,
		id:      binary.LittleEndian.Uint64(b[16:]),
		seq:     binary.LittleEndian.Uint64(b[24:]),
		follows: binary.LittleEndian.Uint64(b[32:]),
		chain:   binary.LittleEndian.Uint32(b[40:]),
	}
	if h.seq != seq {
		return header{}, fmt.Errorf("%w: it was written as file %d and has been renamed", errDamaged, h.seq)
	}
	return h, nil
}

func fileName(seq uint64, ext string) string { return fmt.Sprintf("%08d%s", seq, ext) }

// parseName reads the number and the kind of a file; false if it is none of a log's.
func parseName(name string) (seq uint64, ext string, ok bool) {
	for _, ext := range [...]string{logExt, ackExt, tempExt} {
		digits, found := strings.CutSuffix(name, ext)
		if !found {
			continue
		}
		seq, err := strconv.ParseUint(digits, 10, 64)
		return seq, ext, err == nil && seq > 0 && fileName(seq, ext) == name
	}
	return 0, "", false
}

// ignored are files that are nobody's: those that systems put into folders.
func ignored(name string) bool {
	return name == lockName || name == "lost+found" || strings.HasPrefix(name, ".")
}

// ackSize is the size of an acknowledgement: the number of a committed epoch and a sum.
const ackSize = 12

func appendAck(b []byte, seed uint32, epoch uint64) []byte {
	at := len(b)
	b = binary.LittleEndian.AppendUint64(b, epoch)
	return binary.LittleEndian.AppendUint32(b, sum(seed, b[at:]))
}

// newestAck is the newest epoch that the file acknowledges; 0 if none. What is not
// whole counts for nothing: the file is not synced.
func newestAck(b []byte, h *header) (newest uint64) {
	seed := h.seed()
	for b = b[min(len(b), headerSize):]; len(b) >= ackSize; b = b[ackSize:] {
		if e := binary.LittleEndian.Uint64(b); sum(seed, b[:8]) == binary.LittleEndian.Uint32(b[8:]) {
			newest = max(newest, e)
		}
	}
	return newest
}
