package spawn

import (
	"bytes"
	"io"
	"sync"
)

// outputs lets one line be written at a time.
type outputs struct{ mu sync.Mutex }

// lines hands on whole lines.
type lines struct {
	shared *outputs
	prefix string
	to     io.Writer         // with the prefix; may be nil
	plain  io.Writer         // without; may be nil
	heard  func(line string) // is told of each without its end; may be nil

	begun []byte // of a line that has not ended
}

// lineMax is where a line is cut that does not end.
const lineMax = 64 << 10

// Write implements io.Writer. It never fails: a child must not die because nobody listens.
func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n') + 1
		whole := i > 0
		if !whole {
			i = len(p)
		}
		l.begun = append(l.begun, p[:i]...)
		if p = p[i:]; whole {
			l.write()
		} else if len(l.begun) >= lineMax {
			l.flush()
		}
	}
	return n, nil
}

// flush ends a line that was begun.
func (l *lines) flush() {
	if len(l.begun) > 0 {
		l.begun = append(l.begun, '\n')
		l.write()
	}
}

func (l *lines) write() {
	l.shared.mu.Lock()
	defer l.shared.mu.Unlock()
	if l.to != nil {
		_, _ = l.to.Write(append([]byte(l.prefix), l.begun...))
	}
	if l.plain != nil {
		_, _ = l.plain.Write(l.begun)
	}
	if l.heard != nil {
		l.heard(string(bytes.TrimRight(l.begun, "\r\n")))
	}
	l.begun = l.begun[:0]
}
