package savefile

import (
	"fmt"
	"time"
)

// Facts say how a savepoint came about: for people, nothing is decided by them.
type Facts struct {
	Created time.Time // to the millisecond; UTC when read
	Name    string    // of the savepoint
	Program string    // that ran
	Runner  string    // by which it ran
	Backend string    // that kept its rows
}

func appendFacts(b []byte, f *Facts) []byte {
	b = appendInt(b, f.Created.UnixMilli())
	for _, s := range [...]string{f.Name, f.Program, f.Runner, f.Backend} {
		b = appendText(b, s)
	}
	return b
}

func decodeFacts(b []byte) (f Facts, err error) {
	d := reader{b: b}
	f.Created = time.UnixMilli(d.int()).UTC()
	for _, s := range [...]*string{&f.Name, &f.Program, &f.Runner, &f.Backend} {
		*s = string(d.block())
	}
	if err := d.end(); err != nil {
		return f, fmt.Errorf("facts: %w", err)
	}
	return f, nil
}
