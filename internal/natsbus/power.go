package natsbus

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrPower is what starting a server fails with in a folder whose last server has ended with
// its machine, and had not synced what it acknowledged: some of that may be gone, and nobody
// would notice.
var ErrPower = errors.New("what the NATS server in it has acknowledged last may be gone, as its machine has gone down meanwhile, and it had not synced that (-durable=crash)")

// runsFile is in the folder of a server that runs without syncing, or was killed. It has the
// name of the machine's start since which it does: a folder that is gone on with by the same
// start of the machine has lost nothing.
const runsFile = "RUNS"

// guard looks whether a folder has all that was acknowledged, and says that it may not have it
// from now on, should the machine go down, unless the server syncs. leave is for when the
// server has ended. Where a start of the machine has no name, it does nothing.
func guard(dir string, syncs bool) (leave func() error, err error) {
	now := bootID()
	if now == "" {
		return func() error { return nil }, nil
	}
	path := filepath.Join(dir, runsFile)
	was, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("folder of the NATS server: %w", err)
	case strings.TrimSpace(string(was)) != now:
		return nil, fmt.Errorf("the folder %s: %w. Delete the folder, and begin anew, or let the other servers of a cluster fill it; or delete the file %s, and go on with what is there: outputs that were shown may be shown again", dir, ErrPower, path)
	}
	leave = func() error { return errors.Join(syncTree(dir), os.Remove(path), syncFile(dir)) }
	switch {
	case !syncs:
		return leave, errors.Join(os.WriteFile(path, []byte(now+"\n"), 0o644), syncFile(path), syncFile(dir))
	case err == nil: // one that did not sync was killed
		return func() error { return nil }, leave()
	}
	return func() error { return nil }, nil
}

// bootID names the start of this machine, "" if nothing does.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// syncTree syncs all files of a folder, and the folders in it.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() && !e.Type().IsRegular() {
			return err
		}
		return syncFile(path)
	})
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
