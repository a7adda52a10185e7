package main

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/kafkatest"
)

func TestMain(m *testing.M) {
	if os.Getenv("RUN_KAFKA") == "1" {
		main()
		return
	}
	os.Exit(m.Run())
}

// Goal: what the command prints can be used, and nothing is left when it ends, however
// that is.
func TestKafka(t *testing.T) {
	kafkatest.Need(t)
	for _, end := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		t.Run(end.String(), func(t *testing.T) {
			tmp := t.TempDir()
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "RUN_KAFKA=1", "TMPDIR="+tmp)
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
			addr := ""
			for lines := bufio.NewScanner(out); addr == "" && lines.Scan(); {
				addr, _ = strings.CutPrefix(lines.Text(), "Try  go run ./examples/kafka -brokers ")
				if addr == lines.Text() {
					addr = ""
				}
			}
			require.NotEmpty(t, addr)
			conn, err := net.Dial("tcp", addr)
			require.NoError(t, err)
			conn.Close()
			require.NotEmpty(t, entries(t, tmp), "its data is not where this test looks")

			require.NoError(t, cmd.Process.Signal(end))
			err = cmd.Wait()
			assert.Equal(t, end == syscall.SIGINT, err == nil, err)
			require.Eventually(t, func() bool {
				conn, err := net.Dial("tcp", addr)
				if err == nil {
					conn.Close()
				}
				return err != nil && len(entries(t, tmp)) == 0
			}, 20*time.Second, 20*time.Millisecond)
		})
	}
}

func entries(t *testing.T, dir string) []os.DirEntry {
	e, err := os.ReadDir(dir)
	require.NoError(t, err)
	return e
}
