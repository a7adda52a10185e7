package upgrade

import (
	"fmt"

	"github.com/millrace/millrace/internal/commit"
)

// Record is what becomes of the record that was planned for, with the graph of new.
func (r *Result) Record(last *commit.Record, new commit.Manifest) *commit.Record {
	rec := &commit.Record{Lanes: last.Lanes, Slots: last.Slots, Hint: last.Hint, Manifest: new, Ended: last.Ended, Splits: map[string][]commit.Split{}}
	for old, splits := range last.Splits {
		if now, ok := r.Name(old); ok {
			rec.Splits[now] = splits
		}
	}
	for _, t := range last.Times {
		if now, ok := r.Name(t.Node); ok {
			t.Node = now
			rec.Times = append(rec.Times, t)
		}
	}
	return rec
}

// Row puts what becomes of one row: nothing, if its transform is dropped.
func (r *Result) Row(row commit.Row, put func(commit.Row) error) error {
	now, ok := r.Name(row.Node)
	if !ok {
		return nil
	}
	old := row.Node
	row.Node = now
	step := r.Migration(old)
	if step == nil {
		return put(row)
	}
	var failed error
	err := step(row.Group, row.Key, row.Val, func(group int, key, val []byte) {
		if failed == nil {
			failed = put(commit.Row{Node: now, Lane: row.Lane, Group: group, Key: key, Val: val})
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
