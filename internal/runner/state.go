package runner

import (
	"context"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/commit"
)

// State is a backend: it keeps a job's epochs in a folder.
type State struct {
	Name string // of the -state flag
	Doc  string // a few words for -help

	// Open opens a folder of the backend's, or makes it. It refuses one that holds
	// something else.
	Open func(dir string, o StateOptions) (commit.Store, error)
	// Holds reports that a folder is one of the backend's.
	Holds func(dir string) bool
}

// StateOptions is how a folder is opened.
type StateOptions struct {
	Context context.Context  // what waits for room on the disk ends with it
	Full    func(err error)  // the disk is full, and the store waits; nil: it has gone on
	Warn    func(msg string) // something is damaged, and was done without
	Memory  int64            // bytes for caches; 0: the backend's default
}

var states []State

// RegisterState adds s. A second backend of a name replaces the first.
func RegisterState(s State) {
	mu.Lock()
	defer mu.Unlock()
	states = slices.DeleteFunc(states, func(o State) bool { return o.Name == s.Name })
	states = append(states, s)
	slices.SortFunc(states, func(a, b State) int { return strings.Compare(a.Name, b.Name) })
}

// States is the backends linked in, by name.
func States() []State {
	mu.Lock()
	defer mu.Unlock()
	return slices.Clone(states)
}
