package sim

import (
	"context"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/statelog"
)

// openLog opens production's store of files. Its bases are small, so that runs have many.
func openLog(fs statelog.FS, wait func(), warn func(string)) (commit.Store, error) {
	l, err := statelog.Open(fs, statelog.Config{
		ID: 1, WholeAfter: 600,
		Warn: warn,
		Wait: func(context.Context) error { wait(); return nil },
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}
