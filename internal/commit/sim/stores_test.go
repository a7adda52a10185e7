package sim

import (
	"context"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/statelog"
)

// openLog opens production's store of files.
func openLog(e Env) (commit.Store, error) {
	l, err := statelog.Open(e.FS, statelog.Config{
		ID: 1, WholeAfter: e.Bases, Warn: e.Warn,
		Wait: func(context.Context) error { e.Wait(); return nil },
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}
