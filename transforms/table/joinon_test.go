package table

import (
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/transforms"
	"github.com/stretchr/testify/require"
)

// script is replies to one left row, by the right key that sends them: those of one
// right key keep their order.
type script map[string][]reply[string]

func says(e errand, seq int64, row string) reply[string] {
	return reply[string]{Errand: e, Seq: seq, Row: transforms.Optional[string]{OK: row != "", Value: row}}
}

// run applies the replies in an order that the dice choose, and checks each change.
func (s script) run(t *testing.T, r *rand.Rand) (st resolution[string], seen []string) {
	at, left := map[string]int{}, []string{}
	for _, k := range []string{"a", "b", "c"} {
		for range s[k] {
			left = append(left, k)
		}
	}
	r.Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
	var stands transforms.Optional[string]
	for _, k := range left {
		ch, ok := st.take(s[k][at[k]])
		at[k]++
		if ok {
			require.Equal(t, stands, ch.Before())
			stands = ch.After()
			if stands.OK {
				seen = append(seen, stands.Value)
			} else {
				seen = append(seen, "-")
			}
		}
		if st.forgotten() {
			st = resolution[string]{}
		}
		require.Equal(t, stands, st.Row)
	}
	return st, seen
}

// Goal: two changes of a left row that go by different right keys end right in
// whatever order they arrive, and nothing is kept of a row that is gone. Method: all
// the orders that dice find in which each right key keeps its own.
func TestResolution_anyOrderBetweenRightKeys(t *testing.T) {
	for _, tc := range []struct {
		name  string
		says  script
		ends  string              // what stands in the end; "": nothing, and nothing is remembered
		never func([]string) bool // what must not be seen
	}{
		{"moves, and the old key's row changes late", script{
			"a": {says(enters, 1, "a1"), says(0, 1, "a2"), says(0, 1, "a3"), says(leaves, 2, "")},
			"b": {says(moves, 2, "b1"), says(0, 2, "b2")},
		}, "b2", after("b1", "a1", "a2", "a3")},
		{"moves there and back", script{
			"a": {says(enters, 1, "a1"), says(leaves, 2, ""), says(moves, 3, "a2")},
			"b": {says(moves, 2, "b1"), says(0, 2, "b2"), says(leaves, 3, "")},
		}, "a2", after("a2", "b1", "b2")},
		{"moves and is deleted", script{
			"a": {says(enters, 1, "a1"), says(0, 1, "a2"), says(leaves, 2, "")},
			"b": {says(moves, 2, "b1"), says(dies, 3, "")},
		}, "", after("-", "a1", "a2", "b1")},
		{"moves twice and is deleted", script{
			"a": {says(enters, 1, "a1"), says(leaves, 2, "")},
			"b": {says(moves, 2, "b1"), says(leaves, 3, "")},
			"c": {says(moves, 3, "c1"), says(stays, 4, "c2"), says(dies, 5, "")},
		}, "", after("-", "a1", "b1", "c1", "c2")},
		{"is deleted, and lives again at another key", script{
			"a": {says(enters, 1, "a1"), says(dies, 2, "")},
			"b": {says(enters, 3, "b1"), says(0, 3, "b2")},
		}, "b2", after("b1", "a1")},
		{"lives twice, and each time moves and is deleted", script{
			"a": {says(enters, 1, "a1"), says(leaves, 2, ""), says(moves, 5, "a2"), says(0, 5, "a3"), says(dies, 6, "")},
			"b": {says(moves, 2, "b1"), says(dies, 3, ""), says(enters, 4, "b2"), says(leaves, 5, "")},
		}, "", nil},
		{"lives twice, and the first life comes last: it may be seen, and is taken back", script{
			"a": {says(enters, 1, "a1"), says(dies, 2, "")},
			"b": {says(enters, 3, "b1"), says(dies, 4, "")},
		}, "", nil},
		{"names no right row", script{
			"a": {says(enters, 1, ""), says(leaves, 2, "")},
			"b": {says(moves, 2, ""), says(0, 2, "b1"), says(0, 2, "")},
		}, "nothing", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			for range 2000 {
				st, seen := tc.says.run(t, r)
				switch tc.ends {
				case "":
					require.Equal(t, resolution[string]{}, st, "seen: %v", seen)
				case "nothing":
					require.False(t, st.Row.OK, "seen: %v", seen)
				default:
					require.Equal(t, tc.ends, st.Row.Value, "seen: %v", seen)
				}
				if st.Row.OK {
					require.Empty(t, st.Moves, "all moves are over")
				}
				if tc.never != nil {
					require.False(t, tc.never(seen), "seen: %v", seen)
				}
			}
		})
	}
}

// after reports one of old behind the first now.
func after(now string, old ...string) func([]string) bool {
	return func(seen []string) bool {
		past := false
		for _, s := range seen {
			for _, o := range old {
				if past && s == o {
					return true
				}
			}
			past = past || s == now
		}
		return false
	}
}

// Goal: keys spread over the counters, the same in every process.
func TestBucket(t *testing.T) {
	require.Equal(t, 805, bucket(nil), "FNV-1a's offset basis modulo 1,024")
	seen := map[int]bool{}
	for i := range 10_000 {
		seen[bucket([]byte{byte(i), byte(i >> 8)})] = true
	}
	require.Greater(t, len(seen), buckets*9/10)
}

// Goal: a right key hears of each left row that names it, and of each that does so no
// more: else it would keep and answer for rows that have left.
func TestNumbered_tellsBothRightKeys(t *testing.T) {
	p := pipeline.New()
	left := FromOptionals(pipeline.FromPairs(pipeline.Create(p,
		pipeline.NewKV("row", some("a1")), pipeline.NewKV("row", some("a2")), pipeline.NewKV("row", some("b1")), pipeline.NewKV("row", transforms.Optional[string]{}),
	)), "left")
	out := pipeline.Collect(pipeline.Pairs(numbered[string, string, string, int](left, func(a string) string { return a[:1] })))
	_, err := local.Run(t.Context(), p, local.Config{Parallelism: 1})
	require.NoError(t, err)
	type ask = request[string, string, int]
	require.Equal(t, []pipeline.KV[string, ask]{
		{Key: "a", Value: ask{Errand: enters, Key: "row", Seq: 1, A: "a1"}},
		{Key: "a", Value: ask{Errand: stays, Key: "row", Seq: 2, A: "a2"}},
		{Key: "a", Value: ask{Errand: leaves, Key: "row", Seq: 3}},
		{Key: "b", Value: ask{Errand: moves, Key: "row", Seq: 3, A: "b1"}},
		{Key: "b", Value: ask{Errand: dies, Key: "row", Seq: 4}},
	}, out.Values())
}
