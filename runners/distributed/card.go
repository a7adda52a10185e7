package distributed

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// card is how commands of the same user find a job that was submitted on this machine: a file,
// which nobody else can read, as the token is in it. A process that is killed leaves its
// card behind.
type card struct {
	Job     string    `json:"job"`
	Servers []string  `json:"servers"`
	Token   string    `json:"token"` // to join with
	Pid     int       `json:"pid"`   // that submitted it
	Started time.Time `json:"started"`
}

// cardFolder is where they are; "" if the user has no such place.
func cardFolder() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "millrace", "jobs")
}

// show writes the card; hide removes it.
func (c *card) show() (hide func(), err error) {
	dir := cardFolder()
	if dir == "" {
		return func() {}, nil
	}
	b, err := json.Marshal(c)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	path := filepath.Join(dir, fmt.Sprintf("%s.%d.json", c.Job, c.Pid))
	if err == nil {
		_ = os.Remove(path) // of a process that had the same number
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("note where the job is, for commands: %w", err)
	}
	return func() { _ = os.Remove(path) }, nil
}

// cards are those of a job on this machine, of all jobs for "". What can't be read is none.
func cards(job string) (list []card, err error) {
	dir := cardFolder()
	if dir == "" {
		return nil, nil
	}
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for jobs of this machine: %w", err)
	}
	for _, f := range files {
		var c card
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil || !strings.HasSuffix(f.Name(), ".json") || json.Unmarshal(b, &c) != nil || len(c.Servers) == 0 {
			continue
		}
		if job == "" || c.Job == job {
			list = append(list, c)
		}
	}
	return list, nil
}
