// Package window holds the event-time side of the Beam model as pure functions
// and small state machines: window functions, triggers, panes, lateness and
// timestamp holds. It starts no goroutine, reads no clock and does no I/O; the
// same calls give the same answers in every process.
//
// All times are int64 Unix milliseconds. Event time may be negative and lies in
// [MinTime, MaxTime]. A window is an [Interval] [Start, End); its last
// millisecond is End-1 and it has passed when the watermark is greater than that
// (M30). Numbers such as M30 are rules of docs/semantics.md.
//
// Pipeline authors meet [Fn] (Fixed, Sliding, Sessions, Days, ...), [Trigger]
// and the [Option] values that [New] turns into a [Strategy]. The grouping
// operators use the rest: [Program] runs a trigger for one (key, window),
// [Panes] numbers what it fires, [Hold] keeps the output watermark back, and
// [InsertSession] keeps the window set of a key.
package window
