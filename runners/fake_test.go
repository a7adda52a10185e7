package runners

import (
	"context"
	"flag"
	"io"
	"path/filepath"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/runner"
	"github.com/millrace/millrace/pipeline"
)

// fake is a runner that runs nothing, and whose jobs' states are in memory, by folder.
type fake struct {
	dir     string
	dropped string
	from    string
	jobs    map[string]*commit.Memory

	given, more []runner.Setting // the program's flags, and what else they are set to
}

// theFake is linked into the tests of this package.
var theFake = &fake{jobs: map[string]*commit.Memory{}}

func init() {
	runner.Register(runner.Runner{
		Name: "fake", Doc: "for tests", Job: theFake.job,
		Flags: func(fs *flag.FlagSet) {
			fs.StringVar(&theFake.dir, "fake-dir", "", "a job's folder")
			fs.StringVar(&theFake.from, "fake-from", "", "a savepoint")
			fs.StringVar(&theFake.dropped, "fake-dropped", "", "a transform")
		},
		Takes: []string{"parallelism"},
		Before: func(_ context.Context, own *runner.Own) error {
			theFake.given = own.Given()
			return own.Take(append(theFake.given, theFake.more...))
		},
		Run: func(context.Context, *pipeline.Pipeline, io.Writer) error { return nil },
	})
	runner.Register(runner.Runner{
		Name: "stateless", Doc: "for tests", Flags: func(*flag.FlagSet) {},
		Run: func(context.Context, *pipeline.Pipeline, io.Writer) error { return nil },
	})
}

func (f *fake) job() (runner.Job, error) {
	dir := f.dir
	return runner.Job{
		Dir: dir, Savepoints: filepath.Join(dir, "savepoints"), Backend: "fake memory", From: f.from, AllowDropped: []string{f.dropped},
		Open: func(context.Context) (commit.Store, error) {
			if m := f.jobs[dir]; m != nil {
				return m, nil
			}
			return nil, runner.ErrNoState
		},
	}, nil
}
