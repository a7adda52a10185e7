package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/millrace/millrace/internal/commit"
)

// ErrNoState is what Job.Open fails with where no state is kept yet.
var ErrNoState = errors.New("no state is kept there yet")

// ParseRenamed reads the flag -renamed: old=new,old=new.
func ParseRenamed(s string) (map[string]string, error) {
	if s == "" {
		return nil, nil
	}
	names := map[string]string{}
	for pair := range strings.SplitSeq(s, ",") {
		old, now, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, &UsageError{Flag: "renamed", Problem: fmt.Sprintf("%q: want old=new", pair)}
		}
		names[old] = now
	}
	return names, nil
}

// Job is a job's folder, as the commands of package runners need it: state, savepoint,
// plan. It says what flags say; nothing has been opened.
type Job struct {
	Dir        string // the state folder; "" if flags name none
	Savepoints string // the folder of its savepoints
	Backend    string // what keeps the state, for people

	// Open opens the state of a job that does not run, to read its newest epoch. It
	// makes nothing that is not there, and fails with ErrNoState if there is none. The caller
	// closes the store, and commits nothing to it.
	Open func(ctx context.Context) (commit.Store, error)

	From         string            // savepoint that the next run begins with; "" for none
	AllowDropped []string          // transforms whose state may go; "*": all
	Renamed      map[string]string // what transforms are called now, by their old names
}
