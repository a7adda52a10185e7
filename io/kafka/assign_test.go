package kafka

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/kafka/internal/client"
)

func partsOf(topic string, numbers ...int32) (parts []client.TopicPartition) {
	for _, n := range numbers {
		parts = append(parts, client.TopicPartition{Topic: topic, Partition: n})
	}
	return parts
}

func memberOf(id string, generation int32, owned []client.TopicPartition, topics ...string) candidate {
	return candidate{id, client.Subscription{Topics: topics, Owned: owned, Generation: generation}}
}

func TestAssign(t *testing.T) {
	for _, tc := range []struct {
		story   string
		members []candidate
		sizes   map[string]int
		want    map[string][]client.TopicPartition
	}{
		{
			"the first member gets all",
			[]candidate{memberOf("a", -1, nil, "t")}, map[string]int{"t": 3},
			map[string][]client.TopicPartition{"a": partsOf("t", 0, 1, 2)},
		},
		{
			"what moves to a second one is nobody's at first",
			[]candidate{memberOf("a", 1, partsOf("t", 0, 1, 2, 3), "t"), memberOf("b", -1, nil, "t")}, map[string]int{"t": 4},
			map[string][]client.TopicPartition{"a": partsOf("t", 0, 1), "b": {}},
		},
		{
			"and then its own",
			[]candidate{memberOf("a", 2, partsOf("t", 0, 1), "t"), memberOf("b", 2, nil, "t")}, map[string]int{"t": 4},
			map[string][]client.TopicPartition{"a": partsOf("t", 0, 1), "b": partsOf("t", 2, 3)},
		},
		{
			"an owner that has not given up yet keeps others out",
			[]candidate{memberOf("a", 2, partsOf("t", 0, 1, 2), "t"), memberOf("b", 2, nil, "t")}, map[string]int{"t": 4},
			map[string][]client.TopicPartition{"a": partsOf("t", 0, 1), "b": partsOf("t", 3)},
		},
		{
			"what a dead one had is divided",
			[]candidate{memberOf("a", 3, partsOf("t", 0, 1), "t"), memberOf("b", 3, partsOf("t", 2, 3), "t")}, map[string]int{"t": 6},
			map[string][]client.TopicPartition{"a": partsOf("t", 0, 1, 4), "b": partsOf("t", 2, 3, 5)},
		},
		{
			"a zombie's claim of an older generation does not count",
			[]candidate{memberOf("a", 3, partsOf("t", 0, 1), "t"), memberOf("b", 5, partsOf("t", 0), "t")}, map[string]int{"t": 2},
			map[string][]client.TopicPartition{"a": partsOf("t", 1), "b": partsOf("t", 0)},
		},
		{
			"two claims of one generation: neither",
			[]candidate{memberOf("a", 3, partsOf("t", 0, 1), "t"), memberOf("b", 3, partsOf("t", 0), "t")}, map[string]int{"t": 2},
			map[string][]client.TopicPartition{"a": partsOf("t", 1), "b": {}},
		},
		{
			"who does not want a topic gets none of it",
			[]candidate{memberOf("a", 1, partsOf("t", 0, 1, 2), "t"), memberOf("b", 1, nil, "u"), memberOf("c", 1, partsOf("t", 3), "u")}, map[string]int{"t": 3, "u": 1},
			map[string][]client.TopicPartition{"a": partsOf("t", 0, 1, 2), "b": partsOf("u", 0), "c": {}},
		},
		{
			"more members than partitions",
			[]candidate{memberOf("c", -1, nil, "t"), memberOf("a", 1, partsOf("t", 0), "t"), memberOf("b", -1, nil, "t")}, map[string]int{"t": 1},
			map[string][]client.TopicPartition{"a": partsOf("t", 0), "b": {}, "c": {}},
		},
	} {
		t.Run(tc.story, func(t *testing.T) {
			got := assign(tc.members, tc.sizes)
			require.Len(t, got, len(tc.want))
			for id, want := range tc.want {
				assert.ElementsMatch(t, want, got[id], id)
			}
		})
	}
}

// Goal: whatever members and topics come and go, no partition has two owners, moves are
// few, and when nobody comes or goes for two rounds all is divided evenly and rests.
func TestAssign_atRandom(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		sizes := map[string]int{}
		for i := range 1 + rnd.IntN(3) {
			sizes[fmt.Sprint("t", i)] = 1 + rnd.IntN(8)
		}
		topics := sortedNames(sizes)
		all := 0
		for _, n := range sizes {
			all += n
		}
		var members []candidate
		for round, generation := 0, int32(0); round < 12; round++ {
			if len(members) == 0 || rnd.IntN(3) > 0 {
				members = append(members, memberOf(fmt.Sprint("m", seed, ".", round), -1, nil, topics...))
			} else {
				members = slices.Delete(members, 0, 1)
			}
			for settled := range 3 {
				generation++
				got := assign(members, sizes)
				seen := map[client.TopicPartition]string{}
				least, most := all, 0
				for i := range members {
					m := &members[i]
					for _, tp := range got[m.id] {
						require.Empty(t, seen[tp], "seed %d: %v is %s's, too", seed, tp, m.id)
						seen[tp] = m.id
						for _, o := range members {
							require.False(t, o.id != m.id && slices.Contains(o.Owned, tp), "seed %d: %s has not given %v up yet", seed, o.id, tp)
						}
					}
					least, most = min(least, len(got[m.id])), max(most, len(got[m.id]))
				}
				for i := range members { // what was taken away is given up by the next round
					members[i].Owned, members[i].Generation = got[members[i].id], generation
				}
				if settled > 0 && len(members) > 0 {
					require.Len(t, seen, all, "seed %d: all are somebody's", seed)
					require.LessOrEqual(t, most-least, 1, "seed %d", seed)
				}
			}
		}
	}
}

func sortedNames(sizes map[string]int) (names []string) {
	for name := range sizes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
