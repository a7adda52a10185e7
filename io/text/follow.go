package text

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	headMost  = 256             // bytes at a file's beginning that tell it from another one
	openMost  = 64              // files that one share holds open though they have nothing new
	goneLooks = 3               // looks without anything new after which a deleted file has ended
	restAfter = 5 * time.Minute // without anything new, after which a file that left the pattern is closed
)

// savedFile is a file in a position.
type savedFile struct {
	Path   string
	ID     fileID
	Offset int64  // of the next line
	Skip   int64  `json:",omitempty"` // begin at the line that Skip is in, or behind
	Head   int    `json:",omitempty"` // so many bytes at the beginning
	Sum    uint64 `json:",omitempty"` // have this hash
}

func sortSaved(s []savedFile) {
	slices.SortFunc(s, func(a, b savedFile) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.ID.Inode, b.ID.Inode), cmp.Compare(a.ID.Device, b.ID.Device))
	})
}

// followed is a file whose lines are read as they come.
//
// Invariant: what is before offset was emitted, and offset is where a line begins.
// block is whole lines, of which those from pos on begin at offset.
type followed struct {
	id     fileID
	path   string
	file   *os.File // nil: closed
	offset int64
	skipTo int64 // > 0: begin at the line that skipTo is in, or behind; not yet done

	head    []byte // the first bytes of what was emitted, at most headMost; nil: not read
	headLen int    // the same, as a position has it
	headSum uint64

	size, seenSize int64 // as of the last look, and when it was last read to the end
	time, seenTime time.Time
	changed        bool // there may be new lines
	listed         bool // the pattern matches it
	deleted        int  // looks since it was
	ended          bool // and was read to its end then
	since          time.Time

	block string
	pos   int
}

func (f *followed) save() savedFile {
	if f.head != nil {
		f.headLen, f.headSum = len(f.head), sum(f.head)
	}
	return savedFile{f.path, f.id, f.offset, f.skipTo, f.headLen, f.headSum}
}

func sum(b []byte) uint64 {
	h := fnv.New64a()
	h.Write(b)
	return h.Sum64()
}

// hasLine reports that a line is at hand.
func (f *followed) hasLine() bool { return f.pos < len(f.block) }

// line takes the next line of the block, and where it begins.
func (f *followed) line() (line string, at int64) {
	at = f.offset
	rest := f.block[f.pos:]
	n := len(rest) // of the last line of a deleted file
	if i := strings.IndexByte(rest, '\n'); i >= 0 {
		n = i + 1
	}
	line = rest[:n]
	if len(f.head) < headMost && int64(len(f.head)) == f.offset {
		f.head = append(f.head, line[:min(n, headMost-len(f.head))]...)
	}
	f.pos += n
	f.offset += int64(n)
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), at
}

// stat takes in what a look has found.
func (f *followed) stat(size int64, mod time.Time) {
	if size != f.size || !mod.Equal(f.time) {
		f.since = time.Now()
	}
	f.size, f.time = size, mod
	f.changed = f.skipTo > 0 || size != f.seenSize || !mod.Equal(f.seenTime)
}

// fill makes the next block of whole lines; if there is none, the file has not
// changed any more until a look says so.
func (f *followed) fill(maxLine int) error {
	f.block, f.pos = "", 0
	if ok, err := f.ensureOpen(); err != nil || !ok {
		f.changed = false
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	if f.skipTo > 0 {
		if err := f.skip(maxLine); err != nil {
			return err
		}
	}
	for n := blockSize; ; n *= 2 {
		n = min(n, max(blockSize, maxLine+2)) // 2 for the line's end
		buf := make([]byte, n)
		k, err := f.file.ReadAt(buf, f.offset)
		if err != nil && err != io.EOF {
			return fmt.Errorf("read %s: %w", f.path, err)
		}
		buf = buf[:k]
		if i := bytes.LastIndexByte(buf, '\n'); i >= 0 {
			f.block = string(buf[:i+1])
			return f.checkLengths(maxLine)
		}
		if len(buf) > maxLine+1 {
			return fmt.Errorf("the line is longer than %d bytes (text.MaxLine)", maxLine)
		}
		if k < n { // the end, with a line that is not yet whole, or none
			f.changed = false
			f.seenSize, f.seenTime = f.size, f.time
			if f.deleted >= goneLooks {
				f.block, f.ended = string(buf), true
			}
			return nil
		}
	}
}

// checkLengths reports a line of the block that is too long.
func (f *followed) checkLengths(maxLine int) error {
	if len(f.block) <= maxLine {
		return nil
	}
	at := f.offset
	for line := range strings.Lines(f.block) {
		if len(strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")) > maxLine {
			f.offset, f.block = at, ""
			return fmt.Errorf("the line is longer than %d bytes (text.MaxLine)", maxLine)
		}
		at += int64(len(line))
	}
	return nil
}

// ensureOpen opens the file; ok is false if it is not there any more.
func (f *followed) ensureOpen() (ok bool, err error) {
	if f.file != nil {
		return true, nil
	}
	file, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	info, err := file.Stat()
	if err != nil || identify(f.path, info) != f.id { // renamed since: the next look finds it
		file.Close()
		return false, err
	}
	f.file = file
	return true, nil
}

// check begins the file again if it is not the one whose beginning was read.
func (f *followed) check() error {
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	n := max(len(f.head), f.headLen)
	buf := make([]byte, n)
	k, err := f.file.ReadAt(buf, 0)
	if err != nil && err != io.EOF {
		return fmt.Errorf("read %s: %w", f.path, err)
	}
	switch {
	case info.Size() < f.offset:
		slog.Warn("a followed file was truncated: it is read from its beginning", "file", f.path, "offset", f.offset, "size", info.Size())
	case k < n || f.head != nil && !bytes.Equal(buf, f.head) || f.head == nil && n > 0 && sum(buf) != f.headSum:
		slog.Warn("a followed file has another content: it is read from its beginning", "file", f.path, "offset", f.offset)
	default:
		if f.head == nil {
			f.head = buf
		}
		return nil
	}
	f.offset, f.head, f.headLen, f.headSum = 0, []byte{}, 0, 0
	return nil
}

// skip passes what is before the line that skipTo is in.
func (f *followed) skip(maxLine int) error {
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	to := f.skipTo
	f.skipTo = 0
	if info.Size() < to { // truncated since the run began
		return nil
	}
	buf := make([]byte, tailSize)
	for at := to; at > 0 && to-at <= int64(maxLine); {
		n := min(at, tailSize)
		at -= n
		if _, err := f.file.ReadAt(buf[:n], at); err != nil {
			return fmt.Errorf("read %s: %w", f.path, err)
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			f.offset = at + int64(i) + 1
			break
		}
	}
	f.head = make([]byte, min(f.offset, headMost))
	if _, err := f.file.ReadAt(f.head, 0); err != nil && err != io.EOF {
		return fmt.Errorf("read %s: %w", f.path, err)
	}
	return nil
}

// add begins to follow a file.
func (r *tailReader[T]) add(l listed) *followed {
	f := &followed{id: l.id, path: l.path, head: []byte{}, seenSize: -1, since: time.Now()}
	r.known[l.id] = f
	r.files = append(r.files, f)
	return f
}

// restore goes on to follow a file.
func (r *tailReader[T]) restore(s savedFile) {
	f := r.add(listed{path: s.Path, id: s.ID})
	f.offset, f.skipTo, f.headLen, f.headSum = s.Offset, s.Skip, s.Head, s.Sum
	if s.Head > 0 {
		f.head = nil
	}
}

// look finds new files, and which of the others have changed.
func (r *tailReader[T]) look(now time.Time) error {
	files, err := r.list.get(r.ctx, now)
	if err != nil {
		return err
	}
	for _, f := range r.files {
		f.listed = false
	}
	for _, l := range files {
		if l.id.share() != r.n {
			continue
		}
		f := r.known[l.id]
		if f == nil {
			f = r.add(l)
		}
		f.listed, f.path, f.deleted = true, l.path, 0
		f.stat(l.size, l.mod)
	}
	for _, f := range slices.Clone(r.files) {
		if f.listed {
			continue
		}
		if err := r.lookUnlisted(f, now); err != nil {
			return err
		}
	}
	return nil
}

// lookUnlisted follows a file that the pattern does not match any more.
func (r *tailReader[T]) lookUnlisted(f *followed, now time.Time) error {
	if f.file != nil {
		info, err := f.file.Stat()
		if err != nil {
			return err
		}
		f.stat(info.Size(), info.ModTime())
		switch {
		case links(info) > 0 && now.Sub(f.since) > restAfter && !f.hasLine():
			r.close(f)
		case links(info) > 0:
		case f.changed || f.hasLine():
			f.deleted = 0
		case f.deleted < goneLooks:
			f.deleted++
		case !f.ended:
			f.changed = true // once more, for a last line without an end
		default:
			r.forget(f)
		}
		return nil
	}
	if info, err := os.Stat(f.path); err == nil && identify(f.path, info) == f.id {
		f.stat(info.Size(), info.ModTime())
		return nil
	}
	dir := filepath.Dir(f.path)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if path := filepath.Join(dir, e.Name()); err == nil && info.Mode().IsRegular() && identify(path, info) == f.id {
			f.path = path
			f.stat(info.Size(), info.ModTime())
			return nil
		}
	}
	slog.Info("a followed file is gone", "file", f.path, "read", f.offset)
	r.forget(f)
	return nil
}

func (r *tailReader[T]) forget(f *followed) {
	r.close(f)
	delete(r.known, f.id)
	r.files = slices.DeleteFunc(r.files, func(g *followed) bool { return g == f })
}
