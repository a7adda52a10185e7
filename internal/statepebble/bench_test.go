package statepebble

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/keygroup"
)

// cpu is the time that all threads of the process have used.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// rss is the memory that the process has, and the most it ever had, in MB.
func rss() (now, most float64) {
	b, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(b), "\n") {
		var kb float64
		if _, err := fmt.Sscanf(line, "VmRSS: %f kB", &kb); err == nil {
			now = kb / 1000
		}
		if _, err := fmt.Sscanf(line, "VmHWM: %f kB", &kb); err == nil {
			most = kb / 1000
		}
	}
	return now, most
}

// benchKey is the key of eight bytes, and the group, of a number.
func benchKey(b []byte, i uint64) (int, []byte) {
	h := keygroup.Mix(i)
	return keygroup.Group(h), binary.BigEndian.AppendUint64(b[:0], i)
}

// writeEpoch commits the rows of numbers [from, to), by two lanes.
func writeEpoch(tb testing.TB, s *Store, from, to, round uint64) {
	e := s.Begin(2)
	var lanes sync.WaitGroup
	for lane := range uint64(2) {
		w := e.Lane(int(lane))
		w.Node("sum per key")
		lanes.Go(func() {
			key, val := make([]byte, 0, 8), make([]byte, 16)
			for i := from; i < to; i++ {
				var g int
				if g, key = benchKey(key, i); uint64(g)%2 != lane {
					continue
				}
				binary.BigEndian.PutUint64(val, round)
				binary.BigEndian.PutUint64(val[8:], i*round)
				w.Put(g, key, val)
			}
		})
	}
	lanes.Wait()
	require.NoError(tb, e.Commit(&commit.Record{Lanes: 2}))
}

func openBench(b *testing.B) *Store {
	s, err := Open(b.TempDir(), Config{})
	require.NoError(b, err)
	b.Cleanup(func() { _ = s.Close() })
	return s
}

const million = 1_000_000

// BenchmarkRewrite rewrites one million keys in each epoch: ns/op, and cpu-us/row,
// which holds all that the library does behind, are of a row.
func BenchmarkRewrite(b *testing.B) {
	s := openBench(b)
	start, epochs := cpu(), 0
	for b.Loop() {
		epochs++
		writeEpoch(b, s, 0, million, uint64(epochs))
	}
	settle(s)
	b.Logf("%v", s.db.Metrics())
	require.NoError(b, s.Close())
	report(b, s, cpu()-start, epochs)
}

// BenchmarkTenMillion writes ten million keys in ten epochs, then rewrites a tenth
// of them in each epoch.
func BenchmarkTenMillion(b *testing.B) {
	s := openBench(b)
	start, epochs := cpu(), 0
	for b.Loop() {
		epochs++
		at := uint64(epochs-1) % 10 * million
		writeEpoch(b, s, at, at+million, uint64(epochs))
	}
	settle(s)
	b.Logf("%v", s.db.Metrics())
	require.NoError(b, s.Close())
	report(b, s, cpu()-start, epochs)
}

func report(b *testing.B, s *Store, used time.Duration, epochs int) {
	rows := float64(epochs) * million
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/rows, "wall-ns/row")
	b.ReportMetric(float64(used.Nanoseconds())/rows, "cpu-ns/row")
	_, most := rss()
	b.ReportMetric(most, "MB-most")
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.Sys)/1e6, "MB-go")
}

// settle waits until the library has tidied up, as far as it does.
func settle(s *Store) {
	for quiet := 0; quiet < 5; quiet++ {
		if m := s.db.Metrics(); m.Compact.NumInProgress > 0 || m.Flush.NumInProgress > 0 {
			quiet = 0
		}
		<-time.After(20 * time.Millisecond)
	}
}

// BenchmarkGet reads one by one from ten million rows.
func BenchmarkGet(b *testing.B) {
	s := openBench(b)
	for at := uint64(0); at < 10*million; at += million {
		writeEpoch(b, s, at, at+million, 1)
	}
	settle(s)
	b.Logf("%v", s.db.Metrics())
	for _, c := range []struct {
		name  string
		first uint64
		keys  uint64
	}{
		{"cached", 0, 2000},
		{"absent", 10 * million, 1 << 40},
		{"disk", 0, 10 * million},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			rng := rand.New(rand.NewPCG(1, 1))
			key, buf := make([]byte, 0, 8), make([]byte, 0, 16)
			start := cpu()
			for b.Loop() {
				var g int
				g, key = benchKey(key, c.first+rng.Uint64N(c.keys))
				_, ok, err := s.Get("sum per key", g, key, buf)
				if err != nil || ok == (c.name == "absent") {
					b.Fatal(ok, err)
				}
			}
			b.ReportMetric(float64((cpu()-start).Nanoseconds())/float64(b.N), "cpu-ns/op")
			_, most := rss()
			b.ReportMetric(most, "MB-most")
		})
	}
}

// BenchmarkRows reads all of one million rows.
func BenchmarkRows(b *testing.B) {
	s := openBench(b)
	writeEpoch(b, s, 0, million, 1)
	for b.Loop() {
		n := 0
		require.NoError(b, s.Rows(commit.Want{}, func(commit.Row) error { n++; return nil }))
		require.Equal(b, million, n)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/million, "ns/row")
}
