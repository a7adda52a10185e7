package local

import (
	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/runner"
	"github.com/millrace/millrace/internal/statelog"
)

func init() {
	runner.RegisterState(runner.State{
		Name: defaultState, Doc: "all state is in memory, and its changes on disk",
		Holds: statelog.Holds,
		Open: func(dir string, o runner.StateOptions) (commit.Store, error) {
			fs, err := statelog.OSFS(dir)
			if err != nil {
				return nil, err
			}
			return statelog.Open(fs, statelog.Config{Context: o.Context, OnFull: o.Full, Warn: o.Warn})
		},
	})
}
