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
	rec := commit.Record{Lanes: last.Lanes, Hint: last.Hint, Manifest: ec.Manifest, Ended: last.Ended, Splits: map[string][]commit.Split{}}
	for old, splits := range last.Splits {
		if now, ok := plan.Name(old); ok {
			rec.Splits[now] = splits
		}
	}
	for _, t := range last.Times {
		if now, ok := plan.Name(t.Node); ok {
			t.Node = now
			rec.Times = append(rec.Times, t)
		}
	}
	err = commit.Replace(j.store, rec, max(rec.Lanes, 1), func(put func(commit.Row) error) error {
		return j.store.Rows(commit.Want{}, func(r commit.Row) (err error) { return migrate(plan, r, put) })
	})
	if err != nil {
		return fmt.Errorf("upgrade the state in %s: %w", j.dir, err)
	}
	j.log.Info("the state was upgraded", "state", j.dir, "plan", plan.String())
	return nil
}

// migrate puts what becomes of one row.
func migrate(plan *upgrade.Result, r commit.Row, put func(commit.Row) error) error {
	now, ok := plan.Name(r.Node)
	if !ok {
		return nil
	}
	old := r.Node
	r.Node = now
	step := plan.Migration(old)
	if step == nil {
		return put(r)
	}
	var failed error
	err := step(r.Group, r.Key, r.Val, func(group int, key, val []byte) {
		if failed == nil {
			failed = put(commit.Row{Node: now, Lane: r.Lane, Group: group, Key: key, Val: val})
		}
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("%s: %w", old, err)
	}
	return nil
}

func set(names []string) map[string]bool {
	out := map[string]bool{}
	for _, n := range names {
		out[n] = true
	}
	return out
}
