package upgrade

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/commit"
)

const (
	str     = "beam:coder:string_utf8:v1"
	varint  = "beam:coder:varint:v1"
	total1  = "beam:coder:row:v1{Total row{Amount string, Count int32}}"
	total2  = "beam:coder:row:v1{Total row{Amount int64, Count int32}}"
	total3  = "beam:coder:row:v1{Total row{Amount string, Count int64, Note string?}}"
	renamed = "beam:coder:row:v1{Total row{Value string, Count int32}}"
)

// stateful is a transform with keyed state.
func stateful(name string, parts ...string) commit.Node {
	return commit.Node{Name: name, Kind: "Stateful", Position: "shop/main.go:10", Windowing: "global", Key: str, State: parts, Stateful: true}
}

func combine(name, windowing string, parts ...string) commit.Node {
	return commit.Node{Name: name, Kind: "CombinePerKey", Position: "shop/main.go:20", Windowing: windowing, Key: str, State: parts, Stateful: true}
}

func at(n commit.Node, position string) commit.Node { n.Position = position; return n }
func keyed(n commit.Node, key string) commit.Node   { n.Key = key; return n }
func kind(n commit.Node, kind string) commit.Node   { n.Kind = kind; return n }
func of(ns ...commit.Node) commit.Manifest          { return commit.Manifest{Nodes: ns} }

func source(name string) commit.Node {
	return commit.Node{Name: name, Kind: "text.Read", Position: "shop/main.go:5", Source: true}
}

// Each rule: what the plan prints.
func TestPlan_rules(t *testing.T) {
	const lateTrigger = "fixed(1m0s) trigger=watermark(late=count(1))"
	for _, tc := range []struct {
		name     string
		old, new commit.Manifest
		opts     Options
		want     string
	}{
		{"nothing has changed", of(source("in"), stateful("bill", "value sum "+total1)), of(source("in"), stateful("bill", "value sum "+total1)), Options{}, `
kept      in    shop/main.go:5
kept      bill  shop/main.go:10`},
		{"a line further down", of(stateful("bill", "value sum "+total1)), of(at(stateful("bill", "value sum "+total1), "shop/main.go:12")), Options{}, `
kept      bill  shop/main.go:12 (before: shop/main.go:10)`},
		{"a field is added and one widened", of(stateful("bill", "value sum "+total1)), of(stateful("bill", "value sum "+total3)), Options{}, `
migrated  bill  shop/main.go:10
            value sum: field Total.Count: int32 becomes int64
            value sum: field Total.Note *string added`},
		{"a field changes its type", of(stateful("bill", "value sum "+total1)), of(stateful("bill", "value sum "+total2)), Options{}, `
refused   bill  shop/main.go:10
            value sum: field Total.Amount: string cannot become int64; keep the field as it was and add another one`},
		{"the same, and its loss is allowed", of(stateful("bill", "value sum "+total1)), of(stateful("bill", "value sum "+total2)), Options{AllowDropped: map[string]bool{"bill": true}}, `
dropped   bill  shop/main.go:10
            value sum: field Total.Amount: string cannot become int64; keep the field as it was and add another one`},
		{"a field is renamed", of(stateful("bill", "value sum "+total1)), of(stateful("bill", "value sum "+renamed)), Options{}, `
migrated  bill  shop/main.go:10
            value sum: field Total.Amount string removed
            value sum: field Total.Value string added
            value sum: if field Total.Amount is called Total.Value now, give it the tag beam:"Amount", else its values are lost`},
		{"cells and timers come, go and change places",
			of(stateful("bill", "value a "+varint, "bag b "+varint, "event-timer t")),
			of(stateful("bill", "bag b "+varint, "value a "+varint, "map c millrace:coder:map:v1<"+str+","+varint+">", "processing-timer u")), Options{}, `
migrated  bill  shop/main.go:10
            map c is added, empty
            processing-timer u is added, empty
            event-timer t is dropped: no state is declared by that name any more`},
		{"a cell becomes one of another kind", of(stateful("bill", "value a "+varint)), of(stateful("bill", "bag a "+varint)), Options{}, `
refused   bill  shop/main.go:10
            value a is a bag now: give the new one another name`},
		{"state gets a life time", of(stateful("bill", "value a "+varint)), of(stateful("bill", "value a "+varint+" ttl")), Options{}, `
migrated  bill  shop/main.go:10
            value a: it lives for a time by the clock, and before for ever; what there is goes by the time of its next write`},
		{"another key", of(stateful("bill", "value a "+varint)), of(keyed(stateful("bill", "value a "+varint), varint)), Options{}, `
refused   bill  shop/main.go:10
            its key was string and is int64 now, and rows are found by the bytes of their keys`},
		{"another kind", of(stateful("bill", "value a "+varint)), of(kind(combine("bill", "global", "combined accumulator "+varint), "CombinePerKey")), Options{}, `
refused   bill  shop/main.go:20 (before: shop/main.go:10)
            it was a Stateful and is a CombinePerKey now`},
		{"broadcast state comes, goes and changes",
			of(stateful("bill", "broadcast a "+total1, "broadcast b "+varint)),
			of(stateful("bill", "broadcast a "+total3, "broadcast c "+varint)), Options{}, `
migrated  bill  shop/main.go:10
            broadcast a: field Total.Count: int32 becomes int64
            broadcast a: field Total.Note *string added
            broadcast b is dropped: no state is declared by that name any more
            broadcast c is added, empty`},
		{"state is gone", of(stateful("bill", "value a "+varint)), of(source("in")), Options{}, `
new       in    shop/main.go:5
refused   bill  shop/main.go:10 of the old version
            the pipeline does not have it any more, and its state would be lost`},
		{"state is gone, which is allowed", of(stateful("bill", "value a "+varint)), of(), Options{AllowDropped: map[string]bool{"*": true}}, `
dropped   bill  shop/main.go:10 of the old version
            the pipeline does not have it any more, and its state would be lost`},
		{"state is gone of which there is none", of(stateful("bill", "value a "+varint)), of(), Options{Empty: func(string) bool { return true }}, `
dropped   bill  shop/main.go:10 of the old version
            it has no rows`},
		{"a source is gone", of(source("in")), of(), Options{}, `
refused   in  shop/main.go:5 of the old version
            the pipeline does not have this source any more, and where it was read to would be forgotten`},
		{"a clock is gone, and another one there", of(commit.Node{Name: "EventTime", Kind: "EventTime", Position: "a.go:1", State: []string{"clock watermark"}, Stateful: true}),
			of(commit.Node{Name: "x/EventTime", Kind: "EventTime", Position: "a.go:2", State: []string{"clock watermark"}, Stateful: true}), Options{}, `
new       x/EventTime  a.go:2
dropped   EventTime    a.go:1 of the old version`},
		{"it has another name", of(stateful("bill", "value a "+varint)), of(stateful("invoice", "value a "+varint)), Options{}, `
new       invoice  shop/main.go:10
refused   bill     shop/main.go:10 of the old version
            the pipeline does not have it any more, and its state would be lost; if it is called "invoice" now, say so`},
		{"it has another name, which is said", of(stateful("bill", "value a "+varint)), of(stateful("invoice", "value a "+varint)), Options{Renamed: map[string]string{"bill": "invoice"}}, `
kept      bill -> invoice  shop/main.go:10`},
		{"two change their names", of(stateful("a", "value a "+varint), stateful("b", "value b "+str)), of(stateful("b", "value a "+varint), stateful("a", "value b "+str)), Options{Renamed: map[string]string{"a": "b", "b": "a"}}, `
kept      a -> b  shop/main.go:10
kept      b -> a  shop/main.go:10`},
		{"a new name that is not there", of(stateful("bill", "value a "+varint)), of(stateful("invoice", "value a "+varint)), Options{Renamed: map[string]string{"bill": "invoices", "ball": "invoice"}}, `
new       invoice  shop/main.go:10
refused   bill     shop/main.go:10 of the old version
            it is said to be called "invoices" now, but the pipeline has no such transform
refused   ball     (there is no such transform)
            it is said to be called "invoice" now, but there was no such transform`},
		{"one more without a name", of(combine("CombinePerKey", "global", "combined accumulator "+varint)),
			of(combine("CombinePerKey", "global", "combined accumulator "+varint), at(combine("CombinePerKey#2", "global", "combined accumulator "+varint), "shop/main.go:25")), Options{}, `
refused   CombinePerKey    shop/main.go:20
            it has no name of its own, there are more of its kind now than before, and its state would fit this one as well as that at shop/main.go:25: give them names (pipeline.Named), and say which one is "CombinePerKey"
new       CombinePerKey#2  shop/main.go:25`},
		{"one more without a name, of another type", of(combine("Sum/CombinePerKey", "global", "combined accumulator "+varint)),
			of(combine("Sum/CombinePerKey", "global", "combined accumulator "+varint), at(combine("Sum#2/CombinePerKey", "global", "combined accumulator "+str), "shop/main.go:25")), Options{}, `
kept      Sum/CombinePerKey    shop/main.go:20
new       Sum#2/CombinePerKey  shop/main.go:25`},
		{"other windows", of(combine("n", "fixed(1m0s)", "combined accumulator "+varint)), of(combine("n", "fixed(5m0s)", "combined accumulator "+varint)), Options{}, `
refused   n  shop/main.go:20
            its windows were fixed(1m0s) and are fixed(5m0s) now, and what was kept by window fits no other`},
		{"an accumulator gets a field", of(combine("n", "fixed(1m0s)", "combined accumulator "+total1)), of(combine("n", "fixed(1m0s)", "combined accumulator "+total3)), Options{}, `
migrated  n  shop/main.go:20
            combined accumulator: field Total.Count: int32 becomes int64
            combined accumulator: field Total.Note *string added`},
		{"lateness where there was none", of(combine("n", "fixed(1m0s)", "combined accumulator "+varint)), of(combine("n", "fixed(1m0s) lateness=1h0m0s", "paned accumulator "+varint+" words=0")), Options{}, `
migrated  n  shop/main.go:20
            allowed lateness: none becomes 1h0m0s
            windows that fired once may have further panes`},
		{"a trigger where there was none", of(combine("n", "fixed(1m0s)", "combined accumulator "+varint)), of(combine("n", lateTrigger, "paned accumulator "+varint+" words=2")), Options{}, `
refused   n  shop/main.go:20
            its windows fired once, and what their panes need to know (trigger watermark(late=count(1)), timestamps end of window) was not kept: only lateness and LateTo can be added`},
		{"no lateness any more", of(combine("n", "fixed(1m0s) lateness=1h0m0s", "paned accumulator "+varint+" words=0")), of(combine("n", "fixed(1m0s)", "combined accumulator "+varint)), Options{}, `
refused   n  shop/main.go:20
            its windows may have had several panes, and fire once now: which panes there were would be forgotten`},
		{"more lateness", of(combine("n", lateTrigger+" lateness=1m0s", "paned accumulator "+varint+" words=2")), of(combine("n", lateTrigger+" lateness=1h0m0s", "paned accumulator "+varint+" words=2")), Options{}, `
kept      n  shop/main.go:20
            allowed lateness: 1m0s becomes 1h0m0s`},
		{"another trigger", of(combine("n", lateTrigger, "paned accumulator "+varint+" words=2")), of(combine("n", "fixed(1m0s) trigger=watermark", "paned accumulator "+varint+" words=1")), Options{}, `
refused   n  shop/main.go:20
            its trigger was watermark(late=count(1)) and would be watermark now, and open windows hold the state of the former`},
		{"panes accumulate", of(combine("n", lateTrigger, "paned accumulator "+varint+" words=2")), of(combine("n", lateTrigger+" accumulating", "paned accumulator "+varint+" words=2")), Options{}, `
refused   n  shop/main.go:20
            its accumulation was discarding and would be accumulating now, and open windows hold what the former left of them`},
		{"slices", of(combine("n", "sliding(1m0s,10s)", "combined accumulator "+varint)), of(combine("n", "sliding(1m0s,10s)", "sliced accumulator "+varint)), Options{}, `
refused   n  shop/main.go:20
            it keeps slices of sliding windows in one of the versions only, because there it has a Merge, and neither lateness, triggers nor LateTo`},
		{"elements that wait for side inputs", of(kind(combine("SideInput", "fixed(1m0s)", "waiting elements "+total1+" sides=1"), "SideInput")), of(kind(combine("SideInput", "fixed(1m0s)", "waiting elements "+total3+" sides=2"), "SideInput")), Options{}, `
refused   SideInput  shop/main.go:20
            it waited for 1 side inputs, and for another number now: how far those have come would be mixed up`},
		{"a coder that is not there", of(stateful("bill", "value x elsewhere.org:coder:x:v1", "value a "+varint)), of(stateful("bill", "value x elsewhere.org:coder:x:v1", "value a "+varint, "value b "+varint)), Options{}, `
refused   bill  shop/main.go:10
            its rows are to change, and value x was written by a coder (elsewhere.org:coder:x:v1) that is not registered in this program, so that nothing behind it can be read`},
		{"a version from the future", of(stateful("bill", "heap x "+varint)), of(stateful("bill", "value x "+varint)), Options{}, `
refused   bill  shop/main.go:10
            bill: the kind of heap "x" is unknown: it was declared by a later version`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := Plan(tc.old, tc.new, tc.opts)
			assert.Equal(t, strings.TrimPrefix(tc.want, "\n")+"\n", r.String())
			assert.Equal(t, strings.Contains(tc.want, "refused"), r.Err() != nil)
			assert.Equal(t, r.String(), Plan(tc.old, tc.new, tc.opts).String(), "it is pure")
		})
	}
}

func TestResult_ErrSaysWhatCanBeDone(t *testing.T) {
	r := Plan(of(stateful("bill", "value sum "+total1), stateful("old", "value a "+varint)), of(at(stateful("bill", "value sum "+total2), "shop/main.go:12")), Options{})
	require.EqualError(t, r.Err(), `shop/main.go:12 (before: shop/main.go:10): the state of Stateful "bill" can't be kept: `+
		"value sum: field Total.Amount: string cannot become int64; keep the field as it was and add another one; or allow that it is dropped (-allow-dropped bill)\n"+
		`shop/main.go:10 of the old version: the state of Stateful "old" can't be kept: the pipeline does not have it any more, and its state would be lost; or allow that it is dropped (-allow-dropped old)`)
	r = Plan(of(), of(), Options{Renamed: map[string]string{"a": "b"}})
	require.EqualError(t, r.Err(), `transform "a": it is said to be called "b" now, but there was no such transform`)
}

func TestResult_NameAndMigration(t *testing.T) {
	r := Plan(of(source("in"), commit.Node{Name: "map", Kind: "Map"}, commit.Node{Name: "filter", Kind: "Filter"}, stateful("a", "value x "+varint), stateful("b", "value x "+varint), stateful("c", "value x "+varint)),
		of(source("from"), commit.Node{Name: "map", Kind: "Map"}, stateful("a", "value x "+varint), stateful("b", "value x "+varint, "bag y "+varint)),
		Options{Renamed: map[string]string{"in": "from"}, AllowDropped: map[string]bool{"c": true}})
	require.NoError(t, r.Err())
	got := ""
	for _, name := range []string{"in", "map", "filter", "a", "b", "c", "z"} {
		now, ok := r.Name(name)
		got += fmt.Sprintln(name, now, ok, r.Migration(name) != nil)
	}
	assert.Equal(t, "in from true false\nmap map true true\nfilter  false true\na a true false\nb b true true\nc  false true\nz  false true\n", got)
	assert.True(t, r.Changed())
	assert.False(t, Plan(of(source("in")), of(source("in")), Options{}).Changed())
}
