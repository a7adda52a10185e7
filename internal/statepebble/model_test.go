package statepebble

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/commit"
)

// rowID names a row of the model.
type rowID struct {
	node        string
	group, lane int
	key         string
}

func id(node string, group, lane int, key []byte) rowID {
	if group >= 0 {
		lane = 0
	}
	return rowID{node, group, lane, string(key)}
}

// model is what the rows of an epoch have to be.
type model map[rowID]string

// rowsOf reads all rows, one by one from Rows.
func rowsOf(t require.TestingT, s *Store) model {
	m := model{}
	require.NoError(t, s.Rows(commit.Want{}, func(r commit.Row) error {
		k := id(r.Node, r.Group, r.Lane, r.Key)
		if _, twice := m[k]; twice {
			return fmt.Errorf("%v twice", k)
		}
		m[k] = string(r.Val)
		return nil
	}))
	return m
}

// program makes random epochs, and their models.
type program struct {
	rng *rand.Rand
	s   *Store
	c   *crashes // nil: none
	m   model    // as committed
}

var places = []int{0, 1, 2, 511, 1023, commit.LaneBound, commit.EveryLane}

// step opens an epoch, writes to it, and commits or discards it.
func (p *program) step(t require.TestingT) (committed bool) {
	next := maps.Clone(p.m)
	e := p.s.Begin(2)
	if p.rng.IntN(8) == 0 {
		e.Whole()
		clear(next)
	}
	if p.rng.IntN(6) == 0 {
		e.Relaned()
		maps.DeleteFunc(next, func(k rowID, _ string) bool { return k.group < 0 })
	}
	for lane := range 2 {
		w := e.Lane(lane)
		for range p.rng.IntN(30) {
			node := fmt.Sprintf("node %d", p.rng.IntN(3))
			group := places[p.rng.IntN(len(places))]
			if group >= 0 && group%2 != lane {
				continue // the group is another lane's
			}
			key := []byte(fmt.Sprint("k", p.rng.IntN(12)))
			val := []byte(fmt.Sprint("v", p.rng.IntN(1000), ";"))
			k := id(node, group, lane, key)
			w.Node(node)
			switch p.rng.IntN(5) {
			case 0:
				w.Delete(group, key)
				delete(next, k)
			case 1, 2:
				w.Append(group, key, val)
				next[k] += string(val)
			default:
				w.Put(group, key, val)
				next[k] = string(val)
			}
		}
	}
	if p.rng.IntN(10) == 0 {
		e.Discard()
		return false
	}
	if p.c != nil {
		p.c.committing()
		defer p.c.committed()
	}
	require.NoError(t, e.Commit(&commit.Record{Lanes: 2}))
	p.reset(next)
	return true
}

// reset is what a program goes on from when the store has been opened, or an epoch committed.
func (p *program) reset(m model) { p.m = m }

// check compares all ways to read with the model.
func (p *program) check(t require.TestingT) { checkStore(t, p.s, p.m) }

func checkStore(t require.TestingT, s *Store, m model) {
	require.Equal(t, m, rowsOf(t, s))
	for _, node := range []string{"node 0", "node 1", "node 2", "none"} {
		for _, group := range places[:5] {
			for i := range 12 {
				key := []byte(fmt.Sprint("k", i))
				val, ok, err := s.Get(node, group, key, []byte("x"))
				require.NoError(t, err)
				want, there := m[id(node, group, 0, key)]
				require.Equal(t, there, ok, "%s %d %s", node, group, key)
				require.Equal(t, "x"+want, string(val))
			}
		}
	}
}

func TestProgramsAgainstModel(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 1))
		fs := vfs.NewMem()
		p := &program{rng: rng}
		p.reset(model{})
		open := func() {
			var err error
			p.s, err = Open("state", Config{FS: fs})
			require.NoError(t, err)
		}
		open()
		for range 6 {
			p.step(t)
			p.check(t)
			if rng.IntN(3) == 0 {
				require.NoError(t, p.s.Close())
				open()
				p.reset(p.m)
				p.check(t)
			}
		}
		require.NoError(t, p.s.Close())
	}
}

// sentences are what a store has warned of.
type sentences struct {
	mu  sync.Mutex
	all []string
}

func (s *sentences) add(one string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, one)
}

func (s *sentences) list() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}
