package window_test

import (
	"fmt"
	"time"

	"github.com/millrace/millrace/window"
)

func ExampleFixed() {
	fmt.Println(window.Fixed(time.Minute).AssignOne(-1))
	// Output: [-60000,0)
}

func ExampleSliding() {
	fmt.Println(window.Sliding(10*time.Second, 5*time.Second).Assign(12_000, nil))
	// Output: [[10000,20000) [5000,15000)]
}

func ExampleDays() {
	day := window.Days(1, time.FixedZone("CET", 3600)).AssignOne(0)
	fmt.Println(time.UnixMilli(day.Start).UTC().Format(time.RFC3339))
	// Output: 1969-12-31T23:00:00Z
}

// A count of the last minute, first seen early, then corrected for an hour.
func ExampleNew() {
	s := window.New(window.Fixed(time.Minute),
		window.Triggering(window.AfterWatermark().
			Early(window.AfterProcessingTime(time.Second)).
			Late(window.AfterCount(1))),
		window.AllowedLateness(time.Hour),
		window.Accumulating())
	fmt.Println(s.Validate(), s)
	// Output: <nil> fixed(1m0s) trigger=after_watermark(early=processing_time(1s),late=count(1)) accumulating lateness=1h0m0s
}

func ExampleProgram() {
	p := window.Compile(window.Repeat(window.AfterCount(2)), false)
	state, w, now := make([]uint64, p.Words()), window.Interval{Start: 0, End: 10}, window.Now{}
	for range 4 {
		p.OnElements(state, 1, now)
		if p.Ready(state, w, now) {
			fmt.Println("fire, finished:", p.OnFire(state, w, now))
		}
	}
	// Output:
	// fire, finished: false
	// fire, finished: false
}

func ExampleInsertSession() {
	set := []window.Interval{{Start: 0, End: 10}, {Start: 15, End: 25}}
	fmt.Println(window.InsertSession(set, window.Interval{Start: 8, End: 18}))
	// Output: [0,25) 0 2
}
