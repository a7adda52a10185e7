package statelog

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/keygroup"
)

// open opens the log in fs for a test, which fails if there is something to warn of.
func open(t *testing.T, fs FS, cfg Config) *Log {
	t.Helper()
	if cfg.Warn == nil {
		cfg.Warn = func(s string) { t.Helper(); t.Errorf("warned: %s", s) }
	}
	if cfg.ID == 0 {
		cfg.ID = 7
	}
	l, err := Open(fs, cfg)
	require.NoError(t, err)
	return l
}

// rowName names a row as a commit.Store does.
type rowName struct {
	node string
	lane int // -1: the row of a key
	key  string
}

type rowValue struct {
	group int
	val   string
}

// rows is all rows of a store; the test fails if one comes twice.
func rows(t *testing.T, s commit.Store, want commit.Want) map[rowName]rowValue {
	t.Helper()
	got := map[rowName]rowValue{}
	require.NoError(t, s.Rows(want, func(r commit.Row) error {
		name := rowName{r.Node, -1, string(r.Key)}
		if r.Group < 0 {
			name.lane = r.Lane
		}
		if _, twice := got[name]; twice {
			return fmt.Errorf("row %v comes twice", name)
		}
		got[name] = rowValue{r.Group, string(r.Val)}
		return nil
	}))
	return got
}

// model is the store that is known to be right.
type model struct {
	rows map[rowName]rowValue
}

func newModel() *model { return &model{map[rowName]rowValue{}} }

func (m *model) clone() *model { return &model{maps.Clone(m.rows)} }

// both writes to the epoch and to the model.
type both struct {
	e    commit.Epoch
	m    *model
	lane int
	node string
}

func (b both) name(group int, key string) rowName {
	if group >= 0 {
		return rowName{b.node, -1, key}
	}
	return rowName{b.node, b.lane, key}
}

func (b both) put(group int, key, val string) {
	w := b.e.Lane(b.lane)
	w.Node(b.node)
	w.Put(group, []byte(key), []byte(val))
	b.m.rows[b.name(group, key)] = rowValue{group, val}
}

func (b both) append(group int, key, val string) {
	w := b.e.Lane(b.lane)
	w.Node(b.node)
	w.Append(group, []byte(key), []byte(val))
	b.m.rows[b.name(group, key)] = rowValue{group, b.m.rows[b.name(group, key)].val + val}
}

func (b both) delete(group int, key string) {
	w := b.e.Lane(b.lane)
	w.Node(b.node)
	w.Delete(group, []byte(key))
	delete(b.m.rows, b.name(group, key))
}

// randomEpoch writes random changes of so many lanes, each in its own groups.
func randomEpoch(e commit.Epoch, m *model, lanes int, rng *rand.Rand) {
	nodes := []string{"count", "join", ""}
	for lane := range lanes {
		for range rng.IntN(40) {
			b := both{e, m, lane, nodes[rng.IntN(len(nodes))]}
			group := lane + lanes*rng.IntN(keygroup.N/lanes)
			key := fmt.Sprintf("key-%d-%d", group, rng.IntN(3))
			switch rng.IntN(8) {
			case 0:
				group, key = commit.LaneBound, fmt.Sprintf("l%d", rng.IntN(5))
			case 1:
				group, key = commit.EveryLane, fmt.Sprintf("e%d", rng.IntN(5))
			case 2, 3, 4:
				group = lane // few keys that come again and again
				key = fmt.Sprintf("hot-%d-%d", lane, rng.IntN(5))
			}
			val := string(bytes.Repeat([]byte{byte('a' + rng.IntN(26))}, rng.IntN(200)))
			switch rng.IntN(4) {
			case 0:
				b.delete(group, key)
			case 1:
				b.append(group, key, val)
			default:
				b.put(group, key, val)
			}
		}
	}
}

// rewrite writes all rows of the model, as a base does.
func rewrite(e commit.Epoch, m *model) {
	names := slices.SortedFunc(maps.Keys(m.rows), func(a, b rowName) int {
		return bytes.Compare([]byte(fmt.Sprint(a)), []byte(fmt.Sprint(b)))
	})
	for _, n := range names {
		w := e.Lane(max(n.lane, 0))
		w.Node(n.node)
		w.Put(m.rows[n].group, []byte(n.key), []byte(m.rows[n].val))
	}
}

func record(n int) *commit.Record {
	return &commit.Record{Lanes: n, Splits: map[string][]commit.Split{"read": {{ID: fmt.Sprint("at ", n), Pos: []byte{byte(n)}}}}}
}

func TestLog_holdsWhatWasCommitted(t *testing.T) {
	seeds := uint64(20)
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 1))
		fs, m := newFake(), newModel()
		l := open(t, fs, Config{WholeAfter: 20000})
		lanes := 3
		for n := 1; n <= 60; n++ {
			e := l.Begin(4)
			next, whole := m.clone(), false
			if n > 1 && l.WantsWhole() {
				e.Whole()
				whole = true
			}
			if !whole && rng.IntN(10) == 0 {
				e.Relaned()
				maps.DeleteFunc(next.rows, func(n rowName, _ rowValue) bool { return n.lane >= 0 })
			}
			if whole {
				rewrite(e, next)
			}
			randomEpoch(e, next, lanes, rng)
			if rng.IntN(5) == 0 {
				e.Discard()
				n--
				continue
			}
			rec := record(n)
			require.NoError(t, e.Commit(rec))
			require.EqualValues(t, n, rec.Epoch)
			m = next
			switch rng.IntN(6) {
			case 0:
				require.NoError(t, l.Close())
				l = open(t, fs, Config{WholeAfter: 20000})
				lanes = 1 + rng.IntN(4)
			case 1: // a crash, which leaves what is synced, and perhaps all
				fs = fs.copied(rng.IntN(2) == 0)
				l = open(t, fs, Config{WholeAfter: 20000})
			}
			require.EqualValues(t, n, l.Last().Epoch)
			require.Equal(t, record(n).Splits, l.Last().Splits)
			require.Equal(t, m.rows, rows(t, l, commit.Want{}))
		}
	}
}

func TestLog_begin(t *testing.T) {
	l := open(t, newFake(), Config{})
	assert.Nil(t, l.Last())
	assert.Empty(t, rows(t, l, commit.Want{}))
	require.NoError(t, l.Close())
}
