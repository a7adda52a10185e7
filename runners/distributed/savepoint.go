package distributed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/internal/held"
	protocol "github.com/millrace/millrace/internal/host"
	"github.com/millrace/millrace/internal/natsbus"
	"github.com/millrace/millrace/internal/savefile"
	"github.com/millrace/millrace/internal/upgrade"
)

// atRest is a job of which a savepoint can be made.
type atRest struct {
	At      []held.Ident  `json:"at"` // of each slot; null: it is not at rest yet
	Program string        `json:"program"`
	Join    engine.Joiner `json:"join"`
}

// The rest of a job lasts for restMost without another word of who makes a savepoint. An
// answer that it is not there yet comes after restWait.
const (
	restMost = 10 * time.Second
	restWait = 2 * time.Second
)

// The command savepoint, and its arguments.
const (
	savepointCommand = "savepoint"
	holdRest         = "hold"
	endRest          = "end"
)

// more are the commands of a leader that are not the crew's.
func (c *candidate) more() map[string]func(context.Context, []string) (any, error) {
	return map[string]func(context.Context, []string) (any, error){savepointCommand: c.rest}
}

// rest brings the job to rest for a savepoint, or lets it go on.
func (c *candidate) rest(ctx context.Context, args []string) (any, error) {
	r := &atRest{Program: c.crew.Program, Join: engine.Joiner{Lanes: c.cfg.lanes, Views: engine.ViewGroups(c.cfg.built)}}
	switch {
	case len(args) != 1 || args[0] != holdRest && args[0] != endRest:
		return nil, fmt.Errorf("%s: want %s or %s", savepointCommand, holdRest, endRest)
	case args[0] == endRest:
		c.rests.End()
		return r, nil
	}
	if l := c.leader.Load(); l == nil || l.Roster().Phase != cluster.Running {
		return nil, errors.New("a savepoint is made of a job that is running, and this one is not")
	}
	c.rests.Wish(restMost)
	ctx, cancel := context.WithTimeout(ctx, restWait)
	defer cancel()
	r.At, _ = c.rests.At(ctx) // else it is asked again
	return r, nil
}

// savepoint is the command: it makes a savepoint of the job at the path that args name.
func (p *process) savepoint(ctx context.Context, args []string, out, errs io.Writer) error {
	path := args[0]
	if !strings.HasSuffix(path, savefile.Suffix) {
		path += savefile.Suffix
	}
	r, err := p.find()
	if err != nil {
		return err
	}
	defer r.bus.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, p.asked.timeout, fmt.Errorf("the job did not come to rest in %v (-timeout)", p.asked.timeout))
	defer cancel()
	for {
		err := r.save(ctx, path, p.asked.stop)
		if errors.Is(err, engine.ErrNotFinal) { // the next cut has them
			continue
		}
		if err != nil {
			return err
		}
		break
	}
	if p.asked.json {
		return printJSON(out, map[string]any{"job": r.cfg.job, "savepoint": path})
	}
	_, err = fmt.Fprintln(out, path)
	return err
}

// save makes a savepoint, once the job is at rest. Sources of it go on as soon as it was;
// sinks show nothing new until the savepoint is there, as there is no other cut. stop cancels
// the job before there is one.
func (r *remote) save(ctx context.Context, path string, stop bool) error {
	rest := &atRest{}
	for rest.At == nil {
		if err := r.ask(ctx, rest, savepointCommand, holdRest); err != nil {
			return causeOf(ctx, err)
		}
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = r.Do(ctx, nil, savepointCommand, endRest) // else it ends by itself
	}()
	reading, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	go r.keep(reading, rest.At, fail)
	store, err := natsbus.OpenStore(r.cfg.bus())
	if err != nil {
		return err
	}
	defer store.Close()
	s := protocol.Savepoint{Joiner: rest.Join, At: rest.At, Changes: store.Changelog(), Objects: store.Objects()}
	name := strings.TrimSuffix(filepath.Base(path), savefile.Suffix)
	facts := savefile.Facts{Created: time.Now(), Name: name, Program: rest.Program, Runner: "distributed", Backend: "nats"}
	rec := &commit.Record{}
	err = savefile.Create(path, facts, rec, func(put func(commit.Row) error) error {
		read, err := s.Read(reading, put)
		if err == nil {
			*rec = *read
		}
		return err
	})
	switch {
	case reading.Err() != nil:
		return context.Cause(reading)
	case err != nil || !stop:
		return err
	}
	if err := r.ask(ctx, nil, "cancel"); err != nil {
		return fmt.Errorf("the savepoint is there, and the job was not stopped: %w", err)
	}
	return nil
}

// causeOf is why ctx has ended, or else err.
func causeOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// keep keeps the job at the cut at until ctx ends. When another leader knows nothing of that,
// it calls fail.
func (r *remote) keep(ctx context.Context, at []held.Ident, fail context.CancelCauseFunc) {
	again := time.NewTicker(restMost / 5)
	defer again.Stop()
	for {
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
		now := &atRest{}
		if err := r.ask(ctx, now, savepointCommand, holdRest); err != nil {
			fail(err)
			return
		}
		if !slices.Equal(at, now.At) {
			fail(errors.New("another process leads the job since, and it is not at rest any more: make the savepoint again"))
			return
		}
	}
}

// begin lets a job that has kept nothing begin with the savepoint of -from.
func (c *config) begin(ctx context.Context, to protocol.Objects) error {
	if err := protocol.NoBeginning(ctx, to); err != nil || c.from == "" {
		return err
	}
	f, err := savefile.Open(c.from)
	if err != nil {
		return err
	}
	defer f.Close()
	manifest := upgrade.ManifestOf(c.built)
	plan, err := upgrade.Check(f, manifest, upgrade.Options{AllowDropped: c.dropped, Renamed: c.renamed})
	if err != nil {
		return fmt.Errorf("read %s: %w", c.from, err)
	}
	if err := plan.Err(); err != nil {
		return fmt.Errorf("%s does not fit the pipeline:\n%w", c.from, err)
	}
	join := engine.Joiner{Lanes: c.lanes, Views: engine.ViewGroups(c.built)}
	err = protocol.Begin(ctx, to, join, c.slots, plan.Record(f.Last(), manifest), func(put func(commit.Row) error) error {
		return f.Rows(commit.Want{}, func(r commit.Row) error { return plan.Row(r, put) })
	})
	if err != nil {
		return fmt.Errorf("begin with %s: %w", c.from, err)
	}
	return nil
}
