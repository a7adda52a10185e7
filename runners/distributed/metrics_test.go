package distributed

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// twoPorts are two ports in a row that nobody listens on, for a moment at least.
func twoPorts(t *testing.T) int {
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		port := l.Addr().(*net.TCPAddr).Port
		next, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+1)))
		l.Close()
		if err == nil {
			next.Close()
			return port
		}
	}
	require.Fail(t, "no two ports in a row are free")
	return 0
}

// Goal: the process that submits a job and its workers say what happens, as Prometheus reads it.
func TestMetrics(t *testing.T) {
	g, port := newGate(t), twoPorts(t)
	a := start(t, t.TempDir(), []string{countVar + "=yes", aliveVar + "=" + g.Addr().String()},
		"-workers=1", "-slots=2", "-parallelism=1", "-cut=50ms", fmt.Sprintf("-metrics=127.0.0.1:%d", port))
	held := <-g.came
	defer held.Close()
	awaitPage := func(port int, want ...string) {
		t.Helper()
		var page string
		require.Eventually(t, func() bool {
			r, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", port))
			if err != nil {
				return false
			}
			defer r.Body.Close()
			b, err := io.ReadAll(r.Body)
			page = string(b)
			for _, w := range want {
				if err != nil || !strings.Contains(page, w) {
					return false
				}
			}
			return true
		}, 30*time.Second, 20*time.Millisecond, "%v", &page)
	}
	awaitPage(port, "\nmillrace_leads{job=\"shop\"} 1\n", "\nmillrace_phase{job=\"shop\",phase=\"running\"} 1\n", "\nmillrace_slots{job=\"shop\",state=\"live\"} 2\n", "\nmillrace_job_rollbacks_total{job=\"shop\"} 0\n", "# TYPE millrace_cut_seconds histogram\n")
	awaitPage(port+1, "\nmillrace_leads{job=\"shop\"} 0\n", "\nmillrace_takeovers_total{job=\"shop\",slot=\"0\"} 1\n", "\nmillrace_takeovers_total{job=\"shop\",slot=\"1\"} 1\n", "# TYPE millrace_commit_seconds histogram\n", "# TYPE millrace_commit_ready_seconds histogram\n", "# TYPE millrace_commit_put_seconds histogram\n", "# TYPE millrace_held_bytes gauge\n")
	held.Close()
	g.open()
	require.NoError(t, a.wait(), "it said:\n%s", strings.Join(a.seen, "\n"))
}
