package alarm

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// clocks are alarms by each kind of clock.
func clocks(t testing.TB) map[string]*Alarm {
	kernel, runtime := New(), by(func(func()) clock { return nil })
	t.Cleanup(kernel.Close)
	t.Cleanup(runtime.Close)
	return map[string]*Alarm{"kernel": kernel, "runtime": runtime}
}

// Goal: it rings when it was set to, not before, and each time.
func TestAlarm(t *testing.T) {
	for name, a := range clocks(t) {
		t.Run(name, func(t *testing.T) {
			for _, d := range []time.Duration{3 * time.Millisecond, -time.Second, 0, 500 * time.Microsecond} {
				began := time.Now()
				a.Set(d)
				<-a.C
				require.GreaterOrEqual(t, time.Since(began), d)
			}
		})
	}
}

// Goal: who sets it anew does not wait for the time before; a closed one rings no more, and
// may still be set.
func TestAlarm_anew(t *testing.T) {
	for name, a := range clocks(t) {
		t.Run(name, func(t *testing.T) {
			a.Set(time.Hour)
			a.Set(time.Millisecond)
			<-a.C
			a.Set(time.Millisecond)
			a.Set(time.Hour)
			a.Close()
			a.Set(time.Nanosecond)
			a.Close()
		})
	}
}

// BenchmarkAlarm says how late each clock rings in a process that does nothing else.
func BenchmarkAlarm(b *testing.B) {
	for name, a := range clocks(b) {
		b.Run(name, func(b *testing.B) {
			var late []time.Duration
			for b.Loop() {
				due := time.Now().Add(2300 * time.Microsecond)
				a.Set(time.Until(due))
				<-a.C
				late = append(late, time.Since(due))
			}
			slices.Sort(late)
			b.ReportMetric(float64(late[len(late)/2].Microseconds()), "µs-late-p50")
			b.ReportMetric(float64(late[len(late)*99/100].Microseconds()), "µs-late-p99")
		})
	}
}
