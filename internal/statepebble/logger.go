package statepebble

import (
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// logger hears what the library says. The library expects that the process ends
// with Fatalf; here the store ends: nothing more is written, and every commit
// fails.
type logger struct {
	dir   string
	warn  func(string)
	onEnd func(error)

	mu     sync.Mutex
	fatal  error
	warned map[string]bool
}

func (l *logger) Infof(string, ...any)  {}
func (l *logger) Errorf(string, ...any) {}

func (l *logger) Fatalf(format string, args ...any) { l.end(fmt.Errorf(format, args...)) }

// end notes that nothing can be written any more.
func (l *logger) end(err error) {
	l.mu.Lock()
	first := l.fatal == nil
	if first {
		l.fatal = err
	}
	l.mu.Unlock()
	if first {
		l.onEnd(err)
	}
}

// err is why nothing can be written any more.
func (l *logger) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}

// once tells people a sentence, but not twice.
func (l *logger) once(s string) {
	l.mu.Lock()
	old := l.warned[s]
	if l.warned == nil {
		l.warned = map[string]bool{}
	}
	l.warned[s] = true
	l.mu.Unlock()
	if !old {
		l.warn(s)
	}
}

func (l *logger) listener() *pebble.EventListener {
	return &pebble.EventListener{
		DataCorruption: func(i pebble.DataCorruptionInfo) {
			l.once(fmt.Sprintf("state in %s: the file %s is damaged: restore from a savepoint", l.dir, i.Path))
		},
		BackgroundError: func(err error) {
			l.once(fmt.Sprintf("state in %s: tidying up: %v", l.dir, err))
		},
	}
}
