package text

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/io/filesystem"
)

// fileID tells a file from others, whatever its name is.
type fileID struct{ Device, Inode uint64 }

// share says which share follows the file.
func (id fileID) share() int {
	h := (id.Inode ^ id.Device<<32) * 0x9e3779b97f4a7c15 // neighbours go apart
	return int(h >> 59)
}

// listed is a file that the pattern matches.
type listed struct {
	path string
	id   fileID
	size int64
	mod  time.Time
}

// listing is the files that a pattern matches at present, for all shares of a run.
type listing struct {
	pattern string
	every   time.Duration

	mu      sync.Mutex // guards what follows; not held while looking
	files   []listed   // by path; replaced, never changed
	at      time.Time  // when they were looked for
	looking bool
	told    bool // that there is none
}

// get is the files, looked for again if that is due and nobody else does it.
func (l *listing) get(ctx context.Context, now time.Time) ([]listed, error) {
	l.mu.Lock()
	due := !l.looking && now.Sub(l.at) >= l.every
	l.looking = l.looking || due
	files := l.files
	l.mu.Unlock()
	if !due {
		return files, nil
	}
	err := l.look(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.looking = false
	return l.files, err
}

func (l *listing) look(ctx context.Context) error {
	at := time.Now()
	found, err := filesystem.Match(ctx, l.pattern)
	switch {
	case errors.Is(err, filesystem.ErrNoMatch):
		l.tell(err)
	case errors.Is(err, fs.ErrNotExist): // a folder was removed meanwhile: the next look knows more
		return nil
	case err != nil:
		return err
	}
	files := make([]listed, 0, len(found))
	twice := map[fileID]bool{} // by links
	for _, f := range found {
		if filesystem.ByName.Of(f.Path) != filesystem.None {
			continue
		}
		path := strings.TrimPrefix(f.Path, "file://")
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() {
			continue // removed since, or nothing that grows
		}
		if id := identify(path, info); !twice[id] {
			twice[id] = true
			files = append(files, listed{path, id, info.Size(), info.ModTime()})
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.files, l.at = files, at
	return nil
}

// tell logs once that there is nothing yet.
func (l *listing) tell(err error) {
	l.mu.Lock()
	told := l.told
	l.told = true
	l.mu.Unlock()
	if !told {
		slog.Info("no file to follow yet", "why", err)
	}
}
