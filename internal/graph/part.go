package graph

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Part is a declared part of a node's rows, in Node.State: what an upgrade compares,
// and what tells a reader of rows how they are laid out (docs/format/rows.md).
type Part struct {
	Kind    string // one of the constants below
	Name    string
	Coder   string // ID of its coder; of a map, of its keys and values as millrace:coder:map:v1<K,V>; "" if it has none
	Options []string
}

// The kinds of parts. A cell of a Stateful, by name:
const (
	PartValue       = "value"
	PartBag         = "bag"
	PartSet         = "set"
	PartMap         = "map"
	PartCombining   = "combining"
	PartOrderedList = "ordered-list"
	PartEventTimer  = "event-timer"
	PartClockTimer  = "processing-timer"
	PartEventTimers = "event-timer-family"
	PartClockTimers = "processing-timer-family"
	PartBroadcast   = "broadcast" // a row of its own
	PartParked      = "parked"    // rows of their own, of keys whose elements failed
)

// All that a row of another transform holds:
const (
	PartGrouped  = "grouped"    // values of a GroupByKey whose windows fire once
	PartCombined = "combined"   // the accumulator of such a combine
	PartSliced   = "sliced"     // the same by slices of sliding windows
	PartPaned    = "paned"      // windows with triggers, lateness, …: "accumulator" or "values"
	PartMerging  = "merging"    // the same of windows that merge
	PartView     = "view"       // elements of a side input that is read as a whole
	PartPanes    = "view-panes" // elements of a side input by window
	PartHeld     = "held"       // elements that wait for side inputs to end
	PartWaiting  = "waiting"    // elements that wait for windows of side inputs
	PartWriter   = "writer"     // what a sink's Prepare returned
	PartClock    = "clock"      // watermarks
)

// The options of parts. Those that end in = have a number behind it.
const (
	OptionTTL      = "ttl"       // a time of expiry follows, by the clock
	OptionEventTTL = "event-ttl" // the same in event time
	OptionWindows  = "windows"   // of a held element, whose window and pane are kept
	OptionWords    = "words="    // of the state of a trigger
	OptionSides    = "sides="    // how many side inputs are waited for
)

// String is the part as it stands in Node.State: "value seen beam:coder:varint:v1 ttl".
func (p Part) String() string {
	s := p.Kind + " " + p.Name
	if strings.ContainsAny(p.Name, " \"\\\t\n") || p.Name == "" {
		s = p.Kind + " " + strconv.Quote(p.Name)
	}
	if p.Coder != "" {
		s += " " + p.Coder
	}
	for _, o := range p.Options {
		s += " " + o
	}
	return s
}

// ParsePart reads what String wrote.
func ParsePart(s string) (p Part, err error) {
	kind, rest, ok := strings.Cut(s, " ")
	if !ok || kind == "" || rest == "" {
		return p, fmt.Errorf("%q declares no part of a row", s)
	}
	p.Kind = kind
	if rest[0] == '"' {
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return p, fmt.Errorf("%q declares no part of a row: its name: %w", s, err)
		}
		p.Name, _ = strconv.Unquote(quoted)
		rest = rest[len(quoted):]
	} else {
		p.Name, rest, _ = strings.Cut(rest, " ")
		rest = " " + rest
	}
	for {
		i := strings.LastIndexByte(rest, ' ')
		if i < 0 || !isOption(rest[i+1:]) {
			break
		}
		p.Options = append(p.Options, rest[i+1:])
		rest = rest[:i]
	}
	slices.Reverse(p.Options)
	p.Coder = strings.TrimPrefix(rest, " ")
	return p, nil
}

func isOption(s string) bool {
	switch s {
	case OptionTTL, OptionEventTTL, OptionWindows:
		return true
	}
	name, number, ok := strings.Cut(s, "=")
	_, err := strconv.Atoi(number)
	return ok && err == nil && (name+"=" == OptionWords || name+"=" == OptionSides)
}

// Has reports whether the part has an option.
func (p Part) Has(option string) bool { return slices.Contains(p.Options, option) }

// Number is the number of an option that has one; false if the part does not have it.
func (p Part) Number(option string) (int, bool) {
	for _, o := range p.Options {
		if v, ok := strings.CutPrefix(o, option); ok {
			n, err := strconv.Atoi(v)
			return n, err == nil
		}
	}
	return 0, false
}

// WithNumber is an option with its number.
func WithNumber(option string, n int) string { return option + strconv.Itoa(n) }
