package connector

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// tellVar names the file in which a child process says what its pieces are.
const tellVar = "MILLRACE_CONNECTOR_TELL"

// tellParent writes down the pieces, if this process was started for that.
func (s Source[T]) tellParent(t *testing.T) (told bool, err error) {
	path := os.Getenv(tellVar)
	if path == "" {
		return false, nil
	}
	if _, err := os.Stat(path); err == nil || !s.Anywhere {
		return true, nil // an earlier call in the same test was meant
	}
	all, err := s.describeAll(t)
	if err != nil {
		return true, err
	}
	b, err := json.Marshal(all)
	if err != nil {
		return true, err
	}
	return true, os.WriteFile(path, b, 0o600)
}

func (s Source[T]) describeAll(t *testing.T) (all [][]piece, err error) {
	for _, n := range lanes {
		d, err := s.describe(t.Context(), n)
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}

// testOtherProcess runs this test in a process of its own, which only says what
// its pieces are.
func (s Source[T]) testOtherProcess(t *testing.T) {
	name, _, _ := cutLast(t.Name(), "/")
	path := filepath.Join(t.TempDir(), "pieces.json")
	cmd := exec.Command(os.Args[0], "-test.run="+exactly(name), "-test.count=1")
	cmd.Env = append(os.Environ(), tellVar+"="+path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("run %s in another process: %v\n%s", name, err, out)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(errors.Join(errors.New("the other process did not get to TestSource"), err))
	}
	var theirs [][]piece
	if err := json.Unmarshal(b, &theirs); err != nil {
		t.Fatal(err)
	}
	ours, err := s.describeAll(t)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(ours) != fmt.Sprint(theirs) {
		t.Fatalf("the pieces of another process are others:\n%v\n%v", ours, theirs)
	}
}

// exactly is a pattern of -test.run for one test.
func exactly(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
