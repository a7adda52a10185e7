package distributed

import (
	"context"
	"flag"
	"io"
	"os"

	protocol "github.com/millrace/millrace/internal/host"
	"github.com/millrace/millrace/internal/natsbus"
	"github.com/millrace/millrace/internal/runner"
	"github.com/millrace/millrace/pipeline"
)

// process is one process of a job: what runs in it is decided by its flags, and by who has
// started it.
type process struct {
	driver driver

	flags  flags
	fs     *flag.FlagSet
	cfg    *config
	own    *runner.Own
	worker *worker // nil in the process that submits the job
	asked  asked
}

// driver is what runs the slots of a job.
type driver struct {
	host func(setting) (host, error) // those of a worker

	// lead leads their cuts until ctx ends, or another process does so: then the error is
	// ErrReplaced of package host. first is to make room for what the job keeps. began is called once it
	// leads, with a number that is higher than those of all before, and
	// whether there were any. note takes what people are to know.
	lead func(ctx context.Context, c *config, bus *natsbus.Bus, m *protocol.LeaderMeter, rests *protocol.Rests, groups *protocol.Groups, first bool, began func(term uint64, goesOn bool), note func(text string)) error

	end func(ctx context.Context, c *config, keep bool) error // deletes what a job has kept that is over, or lets only another run go on with it
}

// slotDriver is the one of our protocol.
var slotDriver = driver{newSlots, leadSlots, endSlots}

func init() { runner.Register(newRunner(slotDriver)) }

// newRunner is the runner for -runner=distributed.
func newRunner(d driver) runner.Runner {
	p := &process{driver: d}
	return runner.Runner{
		Name: "distributed", Doc: "in many processes, over NATS", Takes: taken,
		Flags:  func(fs *flag.FlagSet) { p.fs = fs; p.flags.register(fs) },
		Before: p.before, Run: p.run, Commands: p.commands(),
	}
}

// before joins the job, where this process is a worker: its flags are the job's.
func (p *process) before(ctx context.Context, own *runner.Own) (err error) {
	if p.cfg, err = p.flags.parse(p.fs, os.Getenv, p.fs.Name()); err != nil {
		return err
	}
	p.own = own
	p.worker, err = workerMode(ctx, p.cfg, own)
	return err
}

func (p *process) run(ctx context.Context, pl *pipeline.Pipeline, out io.Writer) error {
	if p.worker != nil {
		if err := p.worker.work(ctx, pl, out, p.driver); err != nil {
			return err
		}
		return runner.ErrWorker
	}
	return submit(ctx, p.cfg, p.driver, pl, p.own, out, os.Stdout)
}
