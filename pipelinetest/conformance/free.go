package conformance

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

// checkFree compares what Beam does not leave open: what each key and window had
// in all panes together, or in the last one where panes accumulate; and of a
// transform with a side input that each element came out once, not before its
// side input had something.
func (b *builder) checkFree(t *testing.T, got []pipelinetest.Output[kv]) {
	t.Helper()
	if !b.panes() {
		b.checkFreeSide(t, got)
		return
	}
	var want []pipelinetest.Output[kv]
	for _, e := range b.Expect {
		for i := range b.copies() {
			want = append(want, e.output(keyOf(e.Key, i)))
		}
	}
	accumulating := b.Stages[0].window.Mode == "accumulating"
	require.Equal(t, contents(want, accumulating), contents(got, accumulating), b.Free)
}

func (b *builder) checkFreeSide(t *testing.T, got []pipelinetest.Output[kv]) {
	t.Helper()
	type element struct {
		key, value string
		window     window.Interval
		ts         int64
	}
	of := func(o pipelinetest.Output[kv]) element {
		value, side, _ := strings.Cut(o.Value.Value, "|")
		require.NotEqual(t, "[]", side, "%v came before its side input", o)
		return element{o.Value.Key, value, o.Window, o.TimestampMs}
	}
	var want, have []element
	first := pipelinetest.Step(b.Expect[0].Step)
	for _, e := range b.Expect {
		want = append(want, of(e.output(e.Key)))
	}
	for _, o := range got {
		require.GreaterOrEqual(t, o.Step, first, "%v came before its side input", o)
		have = append(have, of(o))
	}
	require.ElementsMatch(t, want, have)
}

// contents is what each key and window had, by "key window".
func contents(os []pipelinetest.Output[kv], accumulating bool) map[string][]string {
	os = slices.SortedFunc(slices.Values(os), func(a, b pipelinetest.Output[kv]) int { return cmp.Compare(a.Pane.Index, b.Pane.Index) })
	all := map[string][]string{}
	for _, o := range os {
		at := o.Value.Key + " " + o.Window.String()
		if accumulating {
			all[at] = nil
		}
		all[at] = append(all[at], items(o.Value.Value)...)
		slices.Sort(all[at])
	}
	return all
}

// items takes "[a,x[b,c]]" apart: a, x[b,c].
func items(list string) (out []string) {
	depth, from := 0, 1
	for i, c := range list {
		switch {
		case c == '[':
			depth++
		case c == ']':
			depth--
		}
		if (c == ',' && depth == 1 || depth == 0) && i > from {
			out = append(out, list[from:i])
			from = i + 1
		}
	}
	return out
}
