package runners

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/runner"
	"github.com/millrace/millrace/internal/savefile"
)

// needDir fails where no flag says which job is meant.
func (c *call) needDir() error {
	if c.job.Dir == "" {
		return c.misused("which job? give its folder by -state-dir, before the command")
	}
	return nil
}

// stopped opens the state of the job, which may not run.
func (c *call) stopped() (commit.Store, error) {
	switch s, err := control.In(c.job.Dir).Status(c.ctx); {
	case err == nil:
		return nil, fmt.Errorf("the job in %s is running (pid %d): make a savepoint of it (savepoint create NAME), and look at that (-savepoint NAME)", c.job.Dir, s.Pid)
	case !errors.Is(err, control.ErrNotRunning):
		return nil, err
	}
	store, err := c.job.Open(c.ctx)
	if err != nil {
		return nil, err
	}
	if store.Last() == nil {
		store.Close()
		return nil, fmt.Errorf("%s: %w", c.job.Dir, runner.ErrNoState)
	}
	return store, nil
}

func status(c *call) error {
	if err := c.wants(0, 0); err != nil {
		return err
	}
	if err := c.needDir(); err != nil {
		return err
	}
	s, err := control.In(c.job.Dir).Status(c.ctx)
	if err != nil {
		return err
	}
	return c.line(s)
}

// line prints v as one line of JSON.
func (c *call) line(v any) error {
	enc := json.NewEncoder(c.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func savepointCreate(c *call) error {
	if err := c.wants(0, 1); err != nil {
		return err
	}
	if err := c.needDir(); err != nil {
		return err
	}
	name := ""
	if len(c.args) > 0 {
		name = c.args[0]
		if err := savefile.CheckName(name); err != nil {
			return c.misused("%v", err)
		}
	}
	path, err := control.In(c.job.Dir).Savepoint(c.ctx, name)
	if errors.Is(err, control.ErrNotRunning) {
		path, err = c.savepointOfStopped(name)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(c.out, path)
	return nil
}

func (c *call) savepointOfStopped(name string) (string, error) {
	store, err := c.stopped()
	if err != nil {
		return "", err
	}
	defer store.Close()
	now := time.Now()
	if name == "" {
		name = savefile.NameAt(now)
	}
	if err := os.MkdirAll(c.job.Savepoints, 0o700); err != nil {
		return "", fmt.Errorf("make the folder of savepoints: %w", err)
	}
	path := filepath.Join(c.job.Savepoints, name+savefile.Suffix)
	err = savefile.Write(path, store, savefile.Facts{Created: now, Name: name, Program: c.prog, Runner: c.runner.Name, Backend: c.job.Backend})
	if errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("there is a savepoint %q already", name)
	}
	return path, err
}

func savepointList(c *call) error {
	if err := c.wants(0, 0); err != nil {
		return err
	}
	if err := c.needDir(); err != nil {
		return err
	}
	list, err := savefile.List(c.job.Savepoints)
	if err != nil || len(list) == 0 {
		return err
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tCREATED\tEPOCH\tPARALLELISM\tROWS\tBYTES")
	for _, s := range list {
		if s.Problem != "" {
			fmt.Fprintf(w, "%s\tunreadable: %s\n", s.Name, s.Problem)
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\n", s.Name, s.Created.Format(time.RFC3339), s.Epoch, s.Lanes, s.Rows, s.Size)
	}
	return w.Flush()
}

func savepointRemove(c *call) error {
	if err := c.wants(1, len(c.args)); err != nil {
		return err
	}
	if err := c.needDir(); err != nil {
		return err
	}
	for _, name := range c.args {
		if err := savefile.CheckName(name); err != nil {
			return c.misused("%v", err)
		}
		err := os.Remove(filepath.Join(c.job.Savepoints, name+savefile.Suffix))
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no savepoint %q in %s", name, c.job.Savepoints)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// source is what a command looks at: a savepoint, or the state of a stopped job.
type source struct {
	commit.Store
	where string // for people
}

// open opens what ref names, a savepoint's file or name; the state of the job for "".
func (c *call) open(ref string) (*source, error) {
	if ref != "" {
		path, err := c.savepointPath(ref)
		if err != nil {
			return nil, err
		}
		f, err := savefile.Open(path)
		if err != nil {
			return nil, err
		}
		return &source{f, path}, nil
	}
	if c.job.Dir == "" {
		return nil, c.misused("of what? give a savepoint (-savepoint FILE), or the folder of a stopped job by -state-dir, before the command")
	}
	store, err := c.stopped()
	if err != nil {
		return nil, err
	}
	return &source{store, c.job.Dir}, nil
}

// savepointPath finds a savepoint by its path, or by its name in the job's folder.
func (c *call) savepointPath(ref string) (string, error) {
	if strings.HasSuffix(ref, savefile.Suffix) || strings.ContainsAny(ref, `/\`) {
		return ref, nil
	}
	if c.job.Dir == "" {
		return "", c.misused("savepoint %q: give the path of its file, or the job's folder by -state-dir", ref)
	}
	if err := savefile.CheckName(ref); err != nil {
		return "", c.misused("%v", err)
	}
	return filepath.Join(c.job.Savepoints, ref+savefile.Suffix), nil
}

// savepointArg takes a savepoint's file off the front of the arguments, if one stands there.
func (c *call) savepointArg() string {
	if len(c.args) == 0 || !strings.HasSuffix(c.args[0], savefile.Suffix) {
		return ""
	}
	ref := c.args[0]
	c.args = c.args[1:]
	return ref
}

// sizes are those of the rows of each transform.
func (s *source) sizes() (map[string]savefile.Size, error) {
	sizes := map[string]savefile.Size{}
	if f, ok := s.Store.(*savefile.File); ok {
		for _, name := range f.Nodes() {
			sizes[name] = f.Size(name)
		}
		return sizes, nil
	}
	err := s.Rows(commit.Want{}, func(r commit.Row) error {
		size := sizes[r.Node]
		sizes[r.Node] = savefile.Size{Rows: size.Rows + 1, Bytes: size.Bytes + int64(len(r.Key)+len(r.Val))}
		return nil
	})
	return sizes, err
}
