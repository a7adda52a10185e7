package text

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/millrace/millrace/io/filesystem"
	"github.com/millrace/millrace/pipeline"
)

// PollInterval is how often [Tail] looks for new files and for new lines; default 1s.
func PollInterval(d time.Duration) ReadOption { return func(s *source) { s.poll = &d } }

// FromEnd begins the files that are there when the run begins at their ends, for
// [Tail]: with the line that is being written. Files that turn up later are read
// from their beginning. A run that goes on from a snapshot goes on where it was.
func FromEnd() ReadOption { return func(s *source) { s.fromEnd = true } }

// Tail is the lines of all files that the pattern matches, as they are written,
// and never ends. Files that turn up while it runs are read, too; that there is
// none at first is no error. It takes the options MaxLine, PollInterval and FromEnd.
//
// A line is read when its end is there. A file that is renamed, as a rotation of
// logs does it, is known again by what the file system knows it by (device and
// inode; on Windows by its name only), and is followed under its new name, within
// the pattern or outside it, as long as it stays in its folder. One that was
// truncated is read from its beginning again, which is logged. A file that is
// deleted is read to its end if it was open by then. Files whose name says that they
// are compressed are passed over: those are rotated ones.
//
// After a restart each file goes on where the snapshot says. What is lost: lines
// that were written and, before they were read, cut off by a truncation or deleted
// with their file. What is read twice: a file that was copied, which is another one.
//
// Only local files can be followed. Lines have no event time of their own: without a
// pipeline.EventTime behind it the watermark stays at the beginning. The files are
// dealt to 32 pieces; one that has files of which none is written to holds the
// watermark up, unless pipeline.IdleAfter leaves it out.
func Tail(p *pipeline.Pipeline, pattern string, opts ...ReadOption) pipeline.PCollection[string] {
	return addTail(p, "text.Tail", pattern, func(l SourceLine) string { return l.Line }, opts)
}

// TailWithSource is [Tail] with each line's place; a file's name is the one that it
// had when the line was read.
func TailWithSource(p *pipeline.Pipeline, pattern string, opts ...ReadOption) pipeline.PCollection[SourceLine] {
	return addTail(p, "text.TailWithSource", pattern, func(l SourceLine) SourceLine { return l }, opts)
}

func addTail[T any](p *pipeline.Pipeline, kind, pattern string, make func(SourceLine) T, opts []ReadOption) pipeline.PCollection[T] {
	interval := time.Second
	s := &source{pattern: pattern, maxLine: 16 << 20, poll: &interval}
	for _, o := range opts {
		o(s)
	}
	if err := filesystem.CheckPattern(pattern); err != nil {
		pipeline.Fail(p, "%s: %w", kind, err)
	}
	if scheme, _, isURL := strings.Cut(pattern, "://"); isURL && scheme != "file" {
		pipeline.Fail(p, "%s: %s: only local files can be followed", kind, pattern)
	}
	if s.maxLine < 1 || *s.poll <= 0 {
		pipeline.Fail(p, "%s: MaxLine and PollInterval want positive values", kind)
	}
	if s.piece != 0 || s.skip != 0 || s.compression != filesystem.ByName {
		pipeline.Fail(p, "%s: PieceSize, SkipLines and Compression are for files that end", kind)
	}
	return pipeline.Read[T](p, kind, &tail[T]{s, make})
}

// tail is a source of lines that are being written.
type tail[T any] struct {
	*source
	make func(SourceLine) T
}

func (s *tail[T]) Bounded() bool { return false }

// shares is into how many pieces the files are dealt, by their identity. It is the
// same for any number of lanes, so that positions outlive a change of it.
const shares = 32

func (s *tail[T]) Splits(ctx context.Context, _ int) (out []pipeline.Split[T], err error) {
	l := &listing{pattern: s.pattern, every: *s.poll}
	if err := l.look(ctx); err != nil {
		return nil, err
	}
	l.mu.Lock()
	first := l.files
	l.mu.Unlock()
	for i := range shares {
		out = append(out, &tailShare[T]{s, l, i, first})
	}
	return out, nil
}

// tailShare is the files that one reader follows.
type tailShare[T any] struct {
	*tail[T]
	list  *listing
	n     int
	first []listed // when the run began
}

func (s *tailShare[T]) ID() string  { return fmt.Sprintf("%s#%d/%d", s.pattern, s.n, shares) }
func (s *tailShare[T]) Size() int64 { return 0 }

// Open goes on with the files that position names, and from then on with all others
// of the share from their beginning.
func (s *tailShare[T]) Open(ctx context.Context, position []byte) (pipeline.Reader[T], error) {
	r := &tailReader[T]{tailShare: s, ctx: ctx, known: map[fileID]*followed{}}
	if position == nil {
		if s.fromEnd {
			for _, f := range s.first {
				if f.id.share() == s.n {
					r.add(f).skipTo = f.size
				}
			}
		}
		return r, nil
	}
	var saved []savedFile
	if err := json.Unmarshal(position, &saved); err != nil {
		return nil, fmt.Errorf("%s: damaged position: %w", s.ID(), err)
	}
	for _, f := range saved {
		if f.Offset < 0 || f.Head < 0 || f.Head > headMost || f.Path == "" || f.ID.share() != s.n || r.known[f.ID] != nil {
			return nil, fmt.Errorf("%s: damaged position", s.ID())
		}
		r.restore(f)
	}
	return r, nil
}

// tailReader reads the new lines of its files, block by block in turn.
type tailReader[T any] struct {
	*tailShare[T]
	ctx   context.Context
	next  time.Time // when to look at the files again
	known map[fileID]*followed
	files []*followed // in the order they were found
	turn  int         // in files
	open  int         // how many of them are
	done  int64       // bytes of lines that were emitted
	path  string      // of the last line
	place int64
}

func (r *tailReader[T]) Read(max int, out *pipeline.Output[T]) (pipeline.ReadState, error) {
	if now := time.Now(); !now.Before(r.next) {
		if err := r.look(now); err != nil {
			return pipeline.Idle, err
		}
		r.next = now.Add(*r.poll)
		if len(r.files) == 0 {
			out.Idle() // no watermark waits for a share without files
		}
	}
	state := pipeline.Idle
	for max > 0 && !out.Stopped() {
		f, err := r.ready()
		if err != nil || f == nil {
			return state, err
		}
		line, at := f.line()
		r.done += f.offset - at
		r.path, r.place = f.path, at
		out.Emit(r.make(SourceLine{f.path, at, line}))
		state = pipeline.More
		max--
	}
	return state, nil
}

// ready is the next file that has a line, its block filled; nil if there is none.
// A file has its turn until its block is empty.
func (r *tailReader[T]) ready() (*followed, error) {
	for range len(r.files) + 1 {
		if len(r.files) == 0 {
			return nil, nil
		}
		r.turn %= len(r.files)
		f := r.files[r.turn]
		if f.hasLine() {
			return f, nil
		}
		if f.changed {
			if err := r.fill(f); err != nil {
				r.path, r.place = f.path, f.offset
				return nil, err
			}
			if f.hasLine() {
				return f, nil
			}
		}
		r.turn++
	}
	return nil, r.ctx.Err()
}

// fill reads a block, and closes the file where too many are open.
func (r *tailReader[T]) fill(f *followed) error {
	was := f.file != nil
	err := f.fill(r.maxLine)
	if f.file != nil && !was {
		r.open++
	}
	if r.open > openMost && !f.changed {
		r.close(f)
	}
	return err
}

func (r *tailReader[T]) close(f *followed) {
	if f.file != nil {
		f.file.Close() // it was only read
		f.file = nil
		r.open--
	}
}

// Position is all files that are known, as JSON, in the order of their paths.
func (r *tailReader[T]) Position(b []byte) []byte {
	saved := make([]savedFile, 0, len(r.files))
	for _, f := range r.files {
		saved = append(saved, f.save())
	}
	sortSaved(saved)
	js, err := json.Marshal(saved)
	if err != nil {
		panic(fmt.Sprintf("BUG: text: a position has no JSON: %v", err))
	}
	return append(b, js...)
}

func (r *tailReader[T]) Where() string {
	if r.path == "" {
		return r.ID()
	}
	return fmt.Sprintf("%s:%d", r.path, r.place)
}

// Progress is bytes of lines.
func (r *tailReader[T]) Progress() int64 { return r.done }

func (r *tailReader[T]) Close() error {
	var errs []error
	for _, f := range r.files {
		if f.file != nil {
			errs = append(errs, f.file.Close())
		}
	}
	return errors.Join(errs...)
}
