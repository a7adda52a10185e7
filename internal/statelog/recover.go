package statelog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/commit/plant"
)

// lookAt lists the numbers of the files in a folder, sorted, and what was left
// unfinished there. It refuses what is no log, and
// what is of a newer version. It writes nothing.
func lookAt(dir FS) (seqs []uint64, temps []string, err error) {
	names, err := dir.List()
	if err != nil {
		return nil, nil, fmt.Errorf("list %s: %w", noted(dir), err)
	}
	var foreign []string
	for _, name := range names {
		seq, ext, ok := parseName(name)
		switch {
		case ok && ext == tempExt:
			temps = append(temps, name)
		case ok:
			seqs = append(seqs, seq)
			if err := newer(dir, name, seq, ext); err != nil {
				return nil, nil, err
			}
		case !ignored(name):
			foreign = append(foreign, name)
		}
	}
	if len(foreign) > 0 {
		more := ""
		if len(foreign) > 3 {
			more = fmt.Sprintf(" and %d more", len(foreign)-3)
			foreign = foreign[:3]
		}
		return nil, nil, fmt.Errorf("%s holds files that are not of a log: %s%s; give the job a folder of its own", noted(dir), strings.Join(foreign, ", "), more)
	}
	slices.Sort(seqs)
	return slices.Compact(seqs), temps, nil
}

// newer refuses a file of a later version. What else is wrong with it is found later.
func newer(dir FS, name string, seq uint64, ext string) error {
	magic := logMagic
	if ext == ackExt {
		magic = ackMagic
	}
	_, err := readHeader(dir, name, magic, seq)
	if errors.Is(err, commit.ErrNewer) {
		return fmt.Errorf("%s: %s: %w; use that one, or another folder", noted(dir), name, err)
	}
	return nil
}

func readHeader(dir FS, name, magic string, seq uint64) (header, error) {
	r, err := dir.Open(name)
	if err != nil {
		return header{}, err
	}
	defer r.Close()
	b := make([]byte, min(r.Size(), headerSize))
	if n, err := r.ReadAt(b, 0); n < len(b) {
		return header{}, err
	}
	return decodeHeader(b, magic, seq)
}

// recovery finds the newest epoch that can be restored, going through the files in
// the order in which they were begun.
type recovery struct {
	fs      FS
	names   map[string]string
	line    []*epochFrames // the newest base and what follows it without a gap
	older   []*epochFrames // the base before, and its
	lost    []loss
	useless []uint64 // files that neither hold an epoch nor say something
	durable uint64   // the newest epoch that is known to be synced
	id      uint64
	idOf    string // the file that said so
	// revoking says that the newest file does nothing but revoke an epoch.
	revoking bool
}

// loss is an epoch that was committed and can't be used.
type loss struct {
	epoch uint64 // the first one
	upTo  uint64 // the newest one, as far as is known
	vague bool   // whether there was one, and how many, is not known
	torn  bool   // it is as likely that there was a crash before its commit was synced
	what  string
}

// recover reads the folder, and takes over what is there.
func (l *Log) recover() error {
	seqs, temps, err := lookAt(l.fs)
	if err != nil {
		return err
	}
	r := recovery{fs: l.fs, names: map[string]string{}}
	for _, seq := range seqs {
		if err := r.file(seq); err != nil {
			return err
		}
	}
	if err := r.nothing(); err != nil {
		return fmt.Errorf("%s: no epoch can be used: %w; restore the folder from a copy, start from a savepoint, or empty the folder to begin anew", noted(l.fs), err)
	}
	if plant.Is(plant.FallbackFar) && len(r.lost) > 0 && len(r.line) > 1 {
		r.line = r.line[:len(r.line)-1]
	}
	if l.last, err = r.record(); err != nil {
		return err
	}
	l.line, l.present = r.line, seqs
	if r.id != 0 {
		l.cfg.ID = r.id
	} else if l.cfg.ID == 0 {
		l.cfg.ID = randomID()
	}
	for _, e := range l.line[min(1, len(l.line)):] {
		l.changes += e.bytes
	}
	l.nextSeq = 1
	if len(seqs) > 0 {
		l.nextSeq = seqs[len(seqs)-1] + 1
	}
	for _, w := range r.warnings() {
		l.heal = true
		l.cfg.Warn(noted(l.fs) + ": " + w)
	}
	for _, seq := range r.useless {
		l.remove(seq)
	}
	for _, name := range temps {
		_ = l.fs.Remove(name)
	}
	if number, _ := r.newest(); number > r.durable && !plant.Is(plant.UnsyncedBelieved) {
		return l.secure()
	}
	if r.revoking {
		return l.revokeAgain()
	}
	return nil
}

// revokeAgain makes durable that the epoch after the newest counts no more: the file
// that says so was read, and may never have been synced.
func (l *Log) revokeAgain() error {
	number, chain := l.newest()
	s := l.newSegment(header{revokes: true, follows: number, chain: chain})
	if err := l.withRoom(func() error { return s.create(l.fs) }); err != nil {
		return fmt.Errorf("%s: revoke epoch %d again: %w", noted(l.fs), number+1, err)
	}
	l.seg = s
	return nil
}

// secure makes the newest epoch durable. The process that wrote it may have ended
// before it was synced, and the machine lives: it is read as if it were there, and a
// power loss would take it from under all that has been built on it meanwhile. The
// epochs before it were synced before its first byte was written.
//
// It is copied to a file that gets its name when it is whole, for that name says that
// the epoch in its old place counts no more.
func (l *Log) secure() error {
	was := l.line[len(l.line)-1]
	e := &epoch{log: l, frame: epochFrames{number: was.number, whole: was.whole, relaned: was.relaned, chunks: was.chunks}, before: was.seg.chain, copied: true}
	if !was.whole {
		e.before = l.line[len(l.line)-2].chain
	}
	err := e.secure(was, commit.AppendRecord(nil, l.last))
	if err != nil {
		return fmt.Errorf("%s: write epoch %d of %s again: %w", noted(l.fs), was.number, was.seg.name(), err)
	}
	l.line[len(l.line)-1] = &e.frame
	l.seg.acknowledge(l.fs, was.number)
	return nil
}

// secure ends with a rename. When it fails, the log is not opened.
func (e *epoch) secure(was *epochFrames, record []byte) error {
	if err := e.move(was.seg, nil); err != nil {
		return err
	}
	if err := e.commit(record); err != nil {
		return err
	}
	s := e.log.seg
	return e.log.withRoom(func() error { return s.publish(e.log.fs) })
}

// newest is the newest usable epoch so far.
func (r *recovery) newest() (number uint64, chain uint32) {
	if len(r.line) == 0 {
		return 0, 0
	}
	e := r.line[len(r.line)-1]
	return e.number, e.chain
}

// nothing is why nothing can be used, though there was something.
func (r *recovery) nothing() error {
	if len(r.line) > 0 {
		return nil
	}
	for _, l := range r.lost {
		if !l.torn {
			return errors.New(l.what)
		}
	}
	return nil
}

// file takes the next file. An error ends the recovery: the file can't be read, or
// has no business here.
func (r *recovery) file(seq uint64) error {
	name := fileName(seq, logExt)
	ackHeader, acked, err := r.acknowledged(seq)
	if err != nil {
		return err
	}
	h, err := readHeader(r.fs, name, logMagic, seq)
	if err == nil {
		if ackHeader.id != h.id || ackHeader.follows != h.follows {
			acked = 0 // it belongs to another file
		}
		return r.segment(h, acked)
	}
	what := ""
	switch {
	case errors.Is(err, fs.ErrNotExist):
		what = name + ": the file is missing"
	case errors.Is(err, errDamaged):
		what = fmt.Sprintf("%s at byte 0: %v", name, err)
	default:
		return fmt.Errorf("read %s of %s: %w", name, noted(r.fs), err)
	}
	if acked > 0 {
		// The acknowledgements say which epochs the file held, and so which it dropped.
		follows := ackHeader.follows
		if ackHeader.copied {
			follows++
		}
		r.drop(follows)
		r.durable = min(r.durable, follows)
		if number, _ := r.newest(); acked > number {
			r.lost = append(r.lost, loss{number + 1, acked, false, false, what})
		}
		return nil
	}
	torn, err := r.tornHeader(name)
	if torn {
		r.useless = append(r.useless, seq) // a crash while it was begun, or while it was removed
	} else if err == nil {
		number, _ := r.newest()
		r.lost = append(r.lost, loss{number + 1, number + 1, true, false, what})
	}
	return err
}

// tornHeader reports that a file has no more than the header that it was begun with: no
// epoch was ever in it, for a header is synced before anything follows.
func (r *recovery) tornHeader(name string) (bool, error) {
	f, err := r.fs.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	return f.Size() <= headerSize, nil
}

// acknowledged is the newest epoch of a segment that was committed, as far as is known.
func (r *recovery) acknowledged(seq uint64) (header, uint64, error) {
	name := fileName(seq, ackExt)
	f, err := r.fs.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return header{}, 0, nil
	}
	if err != nil {
		return header{}, 0, fmt.Errorf("open %s of %s: %w", name, noted(r.fs), err)
	}
	defer f.Close()
	b := make([]byte, f.Size())
	if n, err := f.ReadAt(b, 0); n < len(b) && err != io.EOF {
		return header{}, 0, fmt.Errorf("read %s of %s: %w", name, noted(r.fs), err)
	}
	h, err := decodeHeader(b, ackMagic, seq)
	if err != nil {
		return header{}, 0, nil // not synced: a crash may have left anything
	}
	return h, newestAck(b, &h), nil
}

// drop forgets the epochs behind number: a later file was begun when that was the newest one.
// It reports whether there was anything to forget.
func (r *recovery) drop(number uint64) (dropped bool) {
	behind := func(e *epochFrames) bool { return e.number > number }
	n := len(r.line) + len(r.lost)
	r.line = slices.DeleteFunc(r.line, behind)
	r.lost = slices.DeleteFunc(r.lost, func(l loss) bool { return l.epoch > number })
	dropped = len(r.line)+len(r.lost) < n
	if len(r.line) == 0 { // the base itself was given up
		r.line, r.older = slices.DeleteFunc(r.older, behind), nil
	}
	return dropped
}

func (r *recovery) segment(h header, acked uint64) error {
	seg := newSegment(h)
	name := seg.name()
	if r.id != 0 && h.id != r.id {
		return fmt.Errorf("%s holds files of two logs: %s and %s; take those out that are not of this job", noted(r.fs), r.idOf, name)
	}
	r.id, r.idOf = h.id, name
	f, err := r.fs.Open(name)
	if err != nil {
		return fmt.Errorf("open %s of %s: %w", name, noted(r.fs), err)
	}
	defer f.Close()
	s, err := scanSegment(f, seg, r.names)
	if plant.Is(plant.TornIsError) && s.wrong != "" {
		err = errors.New(s.wrong)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", noted(r.fs), err)
	}
	r.revoking = h.revokes && len(s.epochs) == 0
	confirmed := max(s.seen, acked)
	if h.copied && len(s.epochs) == 0 {
		return r.firstCopy(&s, h.follows+1, acked)
	}
	dropped := r.drop(h.follows)
	r.durable = max(h.follows, acked, s.past())
	number, chain := r.newest()
	follows := number == h.follows && chain == h.chain
	if !follows {
		what := fmt.Sprintf("%s at byte %d: it follows epoch %d, which is not there", name, headerSize, h.follows)
		upTo := max(confirmed, h.follows, number+1)
		if h.base && len(s.epochs) > 0 {
			upTo = h.follows // what is in the file needs none of those before it
		}
		r.lost = append(r.lost, loss{number + 1, upTo, false, false, what})
	}
	switch {
	case h.base && len(s.epochs) > 0:
		r.older, r.line = r.line, s.epochs
	case h.base:
	case follows:
		r.line = append(r.line, s.epochs...)
	default:
		return nil
	}
	good := h.follows
	if n := len(s.epochs); n > 0 {
		good = s.epochs[n-1].number
	}
	switch {
	case confirmed > good:
		r.lost = append(r.lost, loss{good + 1, confirmed, false, good >= max(acked, s.past()), s.fault()})
	case len(s.epochs) == 0 && !dropped && !h.revokes:
		r.useless = append(r.useless, h.seq)
	}
	return nil
}

// firstCopy goes back to where an epoch was written first: its second copy is damaged.
// What followed the copy is lost.
func (r *recovery) firstCopy(s *scanned, epoch, acked uint64) error {
	r.drop(epoch)
	r.durable = epoch - 1
	number, _ := r.newest()
	if confirmed := max(s.seen, acked, epoch); confirmed > number {
		r.lost = append(r.lost, loss{number + 1, confirmed, false, number >= max(acked, s.past()), s.fault()})
	}
	return nil
}

// warnings says in sentences what is lost behind the newest epoch that can be used.
func (r *recovery) warnings() (list []string) {
	number, _ := r.newest()
	for _, l := range r.lost {
		if l.upTo <= number {
			continue // a base has come since
		}
		which := fmt.Sprintf("epoch %d is", l.upTo)
		if first := max(l.epoch, number+1); first < l.upTo {
			which = fmt.Sprintf("epochs %d to %d are", first, l.upTo)
		}
		if l.vague {
			which = "what it held is"
		}
		used := fmt.Sprintf("epoch %d is used instead", number)
		if number == 0 {
			used = "the job begins anew"
		}
		if l.torn {
			list = append(list, fmt.Sprintf("%s; whether epoch %d was committed before the crash is not known, and %s", l.what, l.upTo, used))
			continue
		}
		list = append(list, fmt.Sprintf("%s; %s lost, %s", l.what, which, used))
	}
	return list
}

// record reads the record of the newest epoch.
func (r *recovery) record() (*commit.Record, error) {
	if len(r.line) == 0 {
		return nil, nil
	}
	e := r.line[len(r.line)-1]
	f, err := r.fs.Open(e.seg.name())
	if err != nil {
		return nil, fmt.Errorf("open %s of %s: %w", e.seg.name(), noted(r.fs), err)
	}
	defer f.Close()
	b := make([]byte, e.record.size)
	if n, err := f.ReadAt(b, e.record.off); n < len(b) {
		return nil, fmt.Errorf("read %s of %s: %w", e.seg.name(), noted(r.fs), err)
	}
	rec, err := commit.DecodeRecord(bytes.Clone(b))
	if err == nil && rec.Epoch != e.number {
		err = fmt.Errorf("the record of epoch %d says %d", e.number, rec.Epoch)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %s at byte %d: %w", noted(r.fs), e.seg.name(), e.record.off, err)
	}
	return rec, nil
}
