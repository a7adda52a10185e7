package local

import (
	"fmt"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/internal/upgrade"
)

// upgrade makes the state fit the pipeline, which may have changed since it was
// written; if it can't, nothing has been touched.
func (j *job) upgrade(cfg *Config, ec *engine.Config) error {
	last := j.store.Last()
	if last == nil {
		return nil
	}
	plan, err := upgrade.Check(j.store, ec.Manifest, upgrade.Options{AllowDropped: set(cfg.AllowDropped), Renamed: cfg.Renamed})
	if err != nil {
		return fmt.Errorf("read the state in %s: %w", j.dir, err)
	}
	if err := plan.Err(); err != nil {
		return fmt.Errorf("the state in %s does not fit the pipeline; nothing was changed:\n%w", j.dir, err)
	}
	if !plan.Changed() {
		return nil
	}
	rec := plan.Record(last, ec.Manifest)
	err = commit.Replace(j.store, *rec, max(rec.Lanes, 1), func(put func(commit.Row) error) error {
		return j.store.Rows(commit.Want{}, func(r commit.Row) error { return plan.Row(r, put) })
	})
	if err != nil {
		return fmt.Errorf("upgrade the state in %s: %w", j.dir, err)
	}
	j.log.Info("the state was upgraded", "state", j.dir, "plan", plan.String())
	return nil
}

func set(names []string) map[string]bool {
	out := map[string]bool{}
	for _, n := range names {
		out[n] = true
	}
	return out
}
