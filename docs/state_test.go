package docs

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The Go code of the page about state stands, line by line, in the examples of package savepoint.
func TestState_codeStandsInTheExamples(t *testing.T) {
	examples, err := os.ReadFile("../savepoint/example_test.go")
	require.NoError(t, err)
	for _, b := range blocks(t, "state.md", "go") {
		require.Contains(t, flat(string(examples)), flat(b))
	}
}

// Every command of the page about state runs, one after the other, in a folder of
// their own. What it says to end by Ctrl-C is ended when a checkpoint has been made.
func TestState_commandsRun(t *testing.T) {
	if testing.Short() {
		t.Skip("builds an example and runs it for some seconds")
	}
	s := &session{t: t, dir: t.TempDir(), shown: flat(strings.Join(blocks(t, "state.md", "text"), ""))}
	for _, b := range blocks(t, "state.md", "sh") {
		for line := range strings.Lines(b) {
			s.do(strings.TrimSpace(line))
		}
	}
	require.Nil(t, s.job, "a job still runs at the end of the page")
	for _, b := range blocks(t, "state.md", "json") {
		for line := range strings.Lines(b) {
			require.True(t, json.Valid([]byte(line)), line)
		}
	}
}

// session is somebody who types the commands of the page.
type session struct {
	t     *testing.T
	dir   string
	shown string
	job   *exec.Cmd // that runs behind
	out   bytes.Buffer
}

func (s *session) do(line string) {
	switch {
	case strings.HasPrefix(line, "go build"):
		cmd := exec.CommandContext(s.t.Context(), "go", "build", "-o", filepath.Join(s.dir, "shop"), "./examples/sessions")
		cmd.Dir = ".."
		out, err := cmd.CombinedOutput()
		require.NoError(s.t, err, "%s", out)
	case line == "kill -INT $!":
		s.interrupt()
	case strings.HasSuffix(line, " -duration 1h &"):
		s.start(strings.TrimSuffix(line, " &"))
	case strings.HasSuffix(line, " -duration 1h"):
		s.start(line)
		s.interrupt()
	default:
		out, err := s.command(line).CombinedOutput()
		if strings.Contains(line, "state get") && err != nil && strings.Contains(string(out), "nothing is kept for that key") {
			return // who comes to the shop is up to chance
		}
		require.NoError(s.t, err, "%s\n%s", line, out)
		if !strings.Contains(line, "savepoint rm") && !strings.Contains(line, "-cell") {
			require.NotEmpty(s.t, out, line)
		}
		if strings.HasSuffix(line, " plan") {
			require.Contains(s.t, shape(flat(string(out))), shape(s.shown))
		}
	}
}

func (s *session) command(line string) *exec.Cmd {
	cmd := exec.CommandContext(s.t.Context(), "sh", "-c", "exec "+line)
	cmd.Dir = s.dir
	return cmd
}

// start starts a job and waits for its first checkpoint.
func (s *session) start(line string) {
	s.job = s.command(line)
	s.out.Reset()
	s.job.Stdout, s.job.Stderr = &s.out, &s.out
	require.NoError(s.t, s.job.Start())
	folder := strings.Fields(line)[2]
	require.Eventually(s.t, func() bool {
		ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
		defer cancel()
		ask := exec.CommandContext(ctx, "./shop", "-state-dir", folder, "status")
		ask.Dir = s.dir
		out, err := ask.Output()
		var status struct{ Job struct{ Checkpoint int } }
		return err == nil && json.Unmarshal(out, &status) == nil && status.Job.Checkpoint > 1
	}, 60*time.Second, 100*time.Millisecond, line)
}

// interrupt is Ctrl-C.
func (s *session) interrupt() {
	require.NotNil(s.t, s.job)
	require.NoError(s.t, s.job.Process.Signal(syscall.SIGINT))
	err := s.job.Wait()
	require.Equal(s.t, 130, s.job.ProcessState.ExitCode(), "%v\n%s", err, s.out.String())
	s.job = nil
}
