package kafka

import (
	"cmp"
	"slices"

	"github.com/millrace/millrace/io/kafka/internal/client"
)

// candidate is a member of a group as its leader sees it.
type candidate struct {
	id string
	client.Subscription
}

// assign says which partitions each member of a group gets next, as Kafka's
// cooperative-sticky assignor does: as evenly as subscriptions allow, and moving as few
// as that takes. A partition that moves is nobody's in this generation: its owner gives
// it up when it sees that, and joins again. sizes is how many partitions topics have.
// It is pure: the same members, the same answer.
//
// Source: KIP-429, and KIP-792 for the generations of claims.
func assign(members []candidate, sizes map[string]int) map[string][]client.TopicPartition {
	members = slices.SortedFunc(slices.Values(members), func(a, b candidate) int { return cmp.Compare(a.id, b.id) })
	d := &division{members: members, wants: make([]map[string]bool, len(members)), has: make([][]client.TopicPartition, len(members)), owner: owners(members, sizes)}
	for i, m := range members {
		d.wants[i] = map[string]bool{}
		for _, t := range m.Topics {
			d.wants[i][t] = true
		}
	}
	d.deal(sizes)
	d.level()
	out := map[string][]client.TopicPartition{}
	for i, m := range members {
		out[m.id] = slices.DeleteFunc(d.has[i], func(tp client.TopicPartition) bool {
			o, owned := d.owner[tp]
			return owned && o != i
		})
	}
	return out
}

// nobody is the owner of a partition that two members claim with equal right: neither
// may have it before both have given it up.
const nobody = -1

// owners is which member, by number, has a partition at present.
func owners(members []candidate, sizes map[string]int) map[client.TopicPartition]int {
	owner, since := map[client.TopicPartition]int{}, map[client.TopicPartition]int32{}
	for i, m := range members {
		for _, tp := range m.Owned {
			last, claimed := since[tp]
			switch {
			case int(tp.Partition) >= sizes[tp.Topic]:
			case !claimed || m.Generation > last:
				owner[tp], since[tp] = i, m.Generation
			case m.Generation == last && owner[tp] != i:
				owner[tp] = nobody
			}
		}
	}
	return owner
}

// division is how partitions are divided so far, by the members' numbers.
type division struct {
	members []candidate
	wants   []map[string]bool
	has     [][]client.TopicPartition
	owner   map[client.TopicPartition]int
}

// deal gives each partition to its owner, or else to who has the fewest; those that the
// fewest members want first.
func (d *division) deal(sizes map[string]int) {
	var free []client.TopicPartition
	for topic, n := range sizes {
		for p := range n {
			tp := client.TopicPartition{Topic: topic, Partition: int32(p)}
			if o, ok := d.owner[tp]; ok && o != nobody && d.wants[o][topic] {
				d.has[o] = append(d.has[o], tp)
			} else {
				free = append(free, tp)
			}
		}
	}
	for i := range d.has {
		slices.SortFunc(d.has[i], byName)
	}
	wanted := map[string]int{}
	for _, w := range d.wants {
		for topic := range w {
			wanted[topic]++
		}
	}
	slices.SortFunc(free, func(a, b client.TopicPartition) int {
		return cmp.Or(cmp.Compare(wanted[a.Topic], wanted[b.Topic]), byName(a, b))
	})
	for _, tp := range free {
		if to := d.least(tp.Topic); to >= 0 {
			d.has[to] = append(d.has[to], tp)
		}
	}
}

func byName(a, b client.TopicPartition) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

// least is who has the fewest partitions of those who want a topic; -1: nobody wants it.
func (d *division) least(topic string) int {
	to := -1
	for i := range d.members {
		if d.wants[i][topic] && (to < 0 || len(d.has[i]) < len(d.has[to])) {
			to = i
		}
	}
	return to
}

// level moves partitions to members that have at least two fewer, until there are none.
func (d *division) level() {
	for d.move() {
	}
}

// move moves one partition, the newest of who has the most.
func (d *division) move() bool {
	rich := make([]int, len(d.members))
	for i := range rich {
		rich[i] = i
	}
	slices.SortStableFunc(rich, func(a, b int) int { return cmp.Compare(len(d.has[b]), len(d.has[a])) })
	for _, from := range rich {
		for k := len(d.has[from]) - 1; k >= 0; k-- {
			tp := d.has[from][k]
			if to := d.least(tp.Topic); len(d.has[to])+2 <= len(d.has[from]) {
				d.has[from] = slices.Delete(d.has[from], k, k+1)
				d.has[to] = append(d.has[to], tp)
				return true
			}
		}
	}
	return false
}
