// Package pebble adds the backend -state=pebble to the local runner, by being
// imported: state that outgrows memory lies on disk, in an LSM store, and what is in
// use is kept in memory. Package runners imports it; a program on runners/local that
// wants it does so itself:
//
//	import _ "github.com/millrace/millrace/runners/local/pebble"
package pebble

import (
	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/runner"
	"github.com/millrace/millrace/internal/statepebble"
)

func init() {
	runner.RegisterState(runner.State{
		Name: "pebble", Doc: "what is not in use is on disk only",
		Holds: statepebble.Holds,
		Open: func(dir string, o runner.StateOptions) (commit.Store, error) {
			return statepebble.Open(dir, statepebble.Config{Context: o.Context, OnFull: o.Full, Warn: o.Warn})
		},
	})
}
