package statelog

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/commit/plant"
)

// Config is how a log behaves. The zero value is right.
type Config struct {
	// Context ends the waiting for room on a full disk; default: it is waited for ever.
	Context context.Context
	// OnFull is told when the disk is full and the log waits, and called with nil when it
	// goes on. It is called by whoever waits: a lane, or Commit; never by two at once.
	OnFull func(err error)
	// Warn takes sentences about what is damaged, and what is used instead.
	Warn func(sentence string)
	// Wait returns when it is worth trying again to write to a full disk, or fails when
	// ctx is over; default: after a second.
	Wait func(ctx context.Context) error
	// ID tells the files of one log from those of another; default: a random number.
	ID uint64
	// WholeAfter is how many bytes of changes have to lie behind a base before the log
	// asks for the next one, if the base is not larger; default 16 MiB.
	WholeAfter int64
}

// Log is a commit.Store in the files of one folder.
type Log struct {
	fs     FS
	cfg    Config
	unlock io.Closer

	// What only the goroutine that drives the log touches, and Commit.
	seg     *segment // where the next epoch goes; nil: into a new one
	nextSeq uint64
	open    *epoch
	spare   [][]byte // buffers of lanes; while an epoch is open, guarded by its mu

	mu      sync.Mutex // guards what follows
	last    *commit.Record
	line    []*epochFrames // the newest base and all behind it
	changes int64          // bytes of what lies behind the base
	heal    bool           // something was damaged: the next epoch should be whole
	present []uint64       // numbers of all files, sorted
	readers int            // calls of Rows: they need their files
	broken  error          // why no epoch can be committed any more, nor read
}

// epochFrames is where a committed epoch lies.
type epochFrames struct {
	seg     *segment
	number  uint64
	whole   bool
	relaned bool // rows of lanes in epochs before it are gone
	chain   uint32
	bytes   int64
	chunks  []chunk
	record  span
}

// span is a piece of a file.
type span struct {
	off  int64
	size int
}

// Open opens the log in fs, or begins one if fs is empty. It reads and checks all
// that is there. What is damaged is told to Warn, and the newest epoch before it is
// used; when there is none, or the folder is not a log's, or of a newer version, or in
// use, Open fails and has changed nothing. An epoch of which it is not known that it is
// durable is made so first, which may take as long as a commit, and wait for room.
func Open(fs FS, cfg Config) (*Log, error) {
	if cfg.Context == nil {
		cfg.Context = context.Background()
	}
	if cfg.OnFull == nil {
		cfg.OnFull = func(error) {}
	}
	if cfg.Warn == nil {
		cfg.Warn = func(string) {}
	}
	if cfg.Wait == nil {
		cfg.Wait = waitASecond
	}
	if cfg.WholeAfter == 0 {
		cfg.WholeAfter = 16 << 20
	}
	if _, _, err := lookAt(fs); err != nil {
		return nil, err
	}
	unlock, err := fs.Lock(lockName)
	if err != nil {
		return nil, err
	}
	l := &Log{fs: fs, cfg: cfg, unlock: unlock}
	if err := l.recover(); err != nil {
		unlock.Close()
		return nil, err
	}
	return l, nil
}

func waitASecond(ctx context.Context) error {
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func randomID() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

// Last is the record of the newest committed epoch; nil if there is none.
func (l *Log) Last() *commit.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

func (l *Log) brokenBy() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}

// WantsWhole asks for a base when what has changed since the last one takes as much
// room as it, and when something was found damaged.
func (l *Log) WantsWhole() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.line) == 0 || l.heal {
		return true
	}
	return l.changes > max(l.line[0].bytes, l.cfg.WholeAfter)
}

// Close lets go of the folder. It must not be called while an epoch is written.
func (l *Log) Close() error {
	if l.seg != nil {
		if l.seg.ack != nil {
			_ = l.seg.ack.Sync()
		}
		l.seg.close()
		l.seg = nil
	}
	l.mu.Lock()
	l.broken = errors.New("the log is closed")
	l.mu.Unlock()
	return l.unlock.Close()
}

// newest is the newest committed epoch: its number and chain.
func (l *Log) newest() (uint64, uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.line) == 0 {
		return 0, 0
	}
	e := l.line[len(l.line)-1]
	return e.number, e.chain
}

// newSegment is a file for what follows an epoch; its id and number are the log's to
// give. It is not made yet.
func (l *Log) newSegment(h header) *segment {
	h.id, h.seq = l.cfg.ID, l.nextSeq
	l.nextSeq++
	l.mu.Lock()
	defer l.mu.Unlock()
	l.present = append(l.present, h.seq)
	return newSegment(h)
}

// withRoom does f again until it fails for another reason than a full disk, or not.
func (l *Log) withRoom(f func() error) error {
	err := f()
	if !isFull(err) {
		return err
	}
	l.cfg.OnFull(err)
	for isFull(err) {
		if over := l.cfg.Wait(l.cfg.Context); over != nil {
			return fmt.Errorf("%w; waiting for room: %w", err, over)
		}
		err = f()
	}
	if err == nil {
		l.cfg.OnFull(nil)
	}
	return err
}

// committed makes e the newest epoch, and drops what is no longer needed to restore it
// or the one before it.
func (l *Log) committed(e *epochFrames, rec *commit.Record) {
	for _, seq := range l.install(e, rec) {
		if plant.Is(plant.OldNeverRemoved) {
			break
		}
		l.removeFiles(seq)
	}
}

func (l *Log) removeFiles(seq uint64) {
	for _, ext := range [...]string{ackExt, logExt} {
		_ = l.fs.Remove(fileName(seq, ext)) // it may not be there; and what can't go now does no harm
	}
}

// install returns the numbers of the files that have to go.
func (l *Log) install(e *epochFrames, rec *commit.Record) (drop []uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	needed := e.seg.seq // the first file that is
	if len(l.line) > 0 {
		needed = l.line[0].seg.seq // of the base of the epoch before
	}
	if e.whole {
		l.line, l.changes, l.heal = nil, 0, false
	} else {
		l.changes += e.bytes
	}
	l.line = append(l.line, e)
	l.last = rec
	if n, _ := slices.BinarySearch(l.present, needed); l.readers == 0 {
		drop = slices.Clone(l.present[:n])
		l.present = slices.Delete(l.present, 0, n)
	}
	return drop
}

// noted describes the folder for sentences.
func noted(fs FS) string {
	if s, ok := fs.(fmt.Stringer); ok {
		return "the folder " + s.String()
	}
	return "the folder of the log"
}
