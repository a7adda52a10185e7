package window

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// Goal: nothing on the way of an element allocates.
func TestAllocations(t *testing.T) {
	fixed, sliding, sessions := Fixed(time.Minute), Sliding(time.Minute, 10*time.Second), Sessions(time.Minute)
	day := Days(1, time.UTC)
	s := New(fixed, Triggering(AfterWatermark().Early(AfterProcessingTime(time.Second)).Late(AfterCount(2))), AllowedLateness(time.Hour))
	p := s.Compile()
	merging := Compile(s.Trigger, true)
	state, other := make([]uint64, p.Words()), make([]uint64, p.Words())
	set := []Interval{{0, 10}, {20, 30}, {40, 50}}
	out := make([]Interval, 0, sliding.MaxWindows())
	var panes Panes
	var hold Hold
	for name, run := range map[string]func(){
		"fixed":    func() { fixed.AssignOne(12345) },
		"sliding":  func() { out = sliding.Assign(12345, out[:0]) },
		"sessions": func() { out = sessions.Assign(12345, out[:0]) },
		"calendar": func() { day.AssignOne(12345) },
		"expiry":   func() { s.Expired(ten, 5) },
		"insert":   func() { InsertSession(set, Interval{5, 25}) },
		"merge":    func() { merging.Merge(state, other); merging.OnMerged(state, ten, Now{}) },
		"trigger": func() {
			p.OnElements(state, 1, Now{})
			if now := (Now{Clock: 9999}); p.Ready(state, ten, now) {
				p.OnFire(state, ten, now)
			}
			p.Deadline(state, 0)
		},
		"pane": func() {
			hold.Add(&s, ten, 5, 0, 0)
			d := panes.Peek(ten, 5, 5, false)
			if s.Emits(d, false) {
				panes.Emit(d)
			}
			hold.Fire(&s, false)
		},
	} {
		assert.Zero(t, testing.AllocsPerRun(100, run), name)
	}
}

func BenchmarkAssignOne(b *testing.B) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range []Fn{Fixed(time.Minute), Sessions(time.Minute), Days(1, berlin)} {
		b.Run(f.Kind().String(), func(b *testing.B) {
			b.ReportAllocs()
			for ts := int64(1.7e12); b.Loop(); ts += 17 {
				f.AssignOne(ts)
			}
		})
	}
}

func BenchmarkAssignSliding(b *testing.B) {
	f := Sliding(time.Minute, 10*time.Second)
	out := make([]Interval, 0, f.MaxWindows())
	b.ReportAllocs()
	for ts := int64(1.7e12); b.Loop(); ts += 17 {
		out = f.Assign(ts, out[:0])
	}
}

func BenchmarkProgram(b *testing.B) {
	for _, t := range []Trigger{Default(), Repeat(AfterCount(100)), AfterWatermark().Early(AfterAny(AfterCount(100), AfterProcessingTime(time.Second))).Late(AfterCount(1))} {
		b.Run(t.String(), func(b *testing.B) {
			p := Compile(t, false)
			s := make([]uint64, p.Words())
			b.ReportAllocs()
			for b.Loop() {
				p.OnElements(s, 1, Now{})
				if p.Ready(s, ten, Now{}) {
					p.OnFire(s, ten, Now{})
				}
			}
		})
	}
}

func BenchmarkInsertSession(b *testing.B) {
	set := []Interval{{0, 10}, {20, 30}, {40, 50}, {60, 70}}
	b.ReportAllocs()
	for b.Loop() {
		InsertSession(set, Interval{25, 35})
	}
}
