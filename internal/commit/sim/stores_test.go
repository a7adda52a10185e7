package sim

import (
	"context"
	"strings"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/statelog"
)

// openLog opens production's store of files.
func openLog(e Env) (commit.Store, error) {
	l, err := statelog.Open(e.FS, statelog.Config{
		ID: 1, WholeAfter: e.Bases,
		Warn: func(sentence string) {
			if !strings.Contains(sentence, "is not known") { // of an end that is torn
				e.Warn(sentence)
			}
		},
		Wait: func(context.Context) error { return e.Wait() },
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}
