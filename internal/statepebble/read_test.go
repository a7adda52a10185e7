package statepebble

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/commit"
)

func openMem(t *testing.T) *Store {
	s, err := Open("state", smallConfig(vfs.NewMem(), 1))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// commitRows commits rows named "node group lane key", each with its name as value.
func commitRows(t *testing.T, s *Store, rows ...string) {
	e := s.Begin(3)
	for lane := range 3 {
		w := e.Lane(lane)
		for _, r := range rows {
			f := strings.Fields(r)
			group, _ := strconv.Atoi(f[1])
			if l, _ := strconv.Atoi(f[2]); l != lane {
				continue
			}
			w.Node(f[0])
			w.Put(group, []byte(f[3]), []byte(r))
		}
	}
	require.NoError(t, e.Commit(&commit.Record{Lanes: 3}))
}

func TestRowsThatAreWanted(t *testing.T) {
	s := openMem(t)
	all := []string{
		"a 0 0 k", "a 0 0 l", "a 5 0 k", "a 1023 0 z", "a -1 0 k", "a -1 1 k", "a -1 2 k", "a -2 0 k", "a -2 2 k",
		"b 7 0 k", "b -1 1 k",
	}
	commitRows(t, s, all...)
	for _, c := range []struct {
		name string
		want commit.Want
		rows []string
	}{
		{"all", commit.Want{}, all},
		{"one node", commit.Want{Node: func(n string) bool { return n == "b" }}, all[9:]},
		{"one group", commit.Want{Group: func(g int) bool { return g == 5 }, Lane: func(int) bool { return false }}, []string{"a 5 0 k", "a -2 0 k", "a -2 2 k"}},
		{"the last group", commit.Want{Group: func(g int) bool { return g == 1023 }}, []string{"a 1023 0 z", "a -1 0 k", "a -1 1 k", "a -1 2 k", "a -2 0 k", "a -2 2 k", "b -1 1 k"}},
		{"no group, one lane", commit.Want{Group: func(int) bool { return false }, Lane: func(l int) bool { return l == 1 }}, []string{"a -1 1 k", "a -2 0 k", "a -2 2 k", "b -1 1 k"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			require.NoError(t, s.Rows(c.want, func(r commit.Row) error {
				got = append(got, string(r.Val))
				assert.Equal(t, fmt.Sprint(r.Node, " ", r.Group, " ", r.Lane, " ", string(r.Key)), string(r.Val))
				return nil
			}))
			require.ElementsMatch(t, c.rows, got)
		})
	}
	stop := errors.New("enough")
	require.ErrorIs(t, s.Rows(commit.Want{}, func(commit.Row) error { return stop }), stop)
	require.ErrorIs(t, s.Scan("a", 0, nil, func(_, _ []byte) error { return stop }), stop)
}

func TestScanByPrefix(t *testing.T) {
	s := openMem(t)
	commitRows(t, s, "a 3 0 x", "a 3 0 xa", "a 3 0 xb", "a 3 0 y", "a 4 0 x", "b 3 0 xc", "a 3 0 \xff\xff", "a 3 0 \xff")
	scan := func(node string, group int, prefix string) (keys []string) {
		require.NoError(t, s.Scan(node, group, []byte(prefix), func(key, val []byte) error {
			keys = append(keys, string(key))
			return nil
		}))
		return keys
	}
	require.Equal(t, []string{"x", "xa", "xb"}, scan("a", 3, "x"))
	require.Equal(t, []string{"xb"}, scan("a", 3, "xb"))
	require.Equal(t, []string{"x", "xa", "xb", "y", "\xff", "\xff\xff"}, scan("a", 3, ""))
	require.Equal(t, []string{"\xff", "\xff\xff"}, scan("a", 3, "\xff"))
	require.Empty(t, scan("a", 2, ""))
	require.Empty(t, scan("c", 3, ""))
}

func TestMistakesComeOutOfCommit(t *testing.T) {
	for name, f := range map[string]func(e commit.Epoch){
		"group 1024":             func(e commit.Epoch) { w := e.Lane(0); w.Node("a"); w.Put(1024, nil, nil) },
		"group -3":               func(e commit.Epoch) { w := e.Lane(0); w.Node("a"); w.Delete(-3, nil) },
		"before it names a node": func(e commit.Epoch) { e.Lane(0).Put(1, nil, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			s := openMem(t)
			commitRows(t, s, "a 1 0 k")
			e := s.Begin(1)
			f(e)
			require.ErrorContains(t, e.Commit(&commit.Record{}), name)
			require.ErrorIs(t, e.Commit(&commit.Record{}), errOver)
			require.Equal(t, uint64(1), s.Last().Epoch)
			commitRows(t, s, "a 1 0 l")
			require.Len(t, rowsOf(t, s), 2)
		})
	}
}

// Readers see one epoch or the next, and nothing between, while epochs commit.
func TestReadersSeeWholeEpochs(t *testing.T) {
	s := openMem(t)
	write := func(round int) {
		e := s.Begin(2)
		if round%5 == 4 {
			e.Whole()
		}
		var lanes sync.WaitGroup
		for lane := range 2 {
			w := e.Lane(lane)
			w.Node("n")
			lanes.Go(func() {
				for i := range 200 {
					w.Put(lane, fmt.Append(nil, "key ", i), fmt.Append(nil, round))
				}
			})
		}
		lanes.Wait()
		require.NoError(t, e.Commit(&commit.Record{Lanes: 2}))
	}
	write(0)
	done := make(chan struct{})
	var readers sync.WaitGroup
	for reader := range 3 {
		readers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				seen, rows := map[string]bool{}, 0
				note := func(val []byte) { seen[string(val)] = true; rows++ }
				switch reader {
				case 0:
					assert.NoError(t, s.Rows(commit.Want{}, func(r commit.Row) error { note(r.Val); return nil }))
					assert.Equal(t, 400, rows)
				case 1:
					assert.NoError(t, s.Scan("n", 1, nil, func(_, val []byte) error { note(val); return nil }))
					assert.Equal(t, 200, rows)
				default:
					val, ok, err := s.Get("n", n%2, []byte("key 7"), nil)
					assert.NoError(t, err)
					assert.True(t, ok)
					note(val)
				}
				assert.Len(t, seen, 1)
			}
		})
	}
	for round := 1; round < 40; round++ {
		write(round)
		val, _, err := s.Get("n", 1, []byte("key 100"), nil)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(round), string(val))
	}
	close(done)
	readers.Wait()
}

// What was written ahead of an epoch that never came is gone after the next Open.
func TestUnfinishedEpochsAreRemoved(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s, err := Open("state", smallConfig(fs, 1))
	require.NoError(t, err)
	commitRows(t, s, "a 1 0 k", "a 2 0 l", "b 1 0 k")
	want := rowsOf(t, s)
	e := s.Begin(1)
	e.Whole()
	w := e.Lane(0)
	w.Node("c")
	for i := range 1000 {
		w.Put(1, fmt.Append(nil, i), []byte("value"))
	}
	require.Equal(t, want, rowsOf(t, s))
	killed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
	e.Discard()
	require.NoError(t, s.Close())
	for range 2 {
		s, err = Open("state", smallConfig(killed, 1))
		require.NoError(t, err)
		require.Equal(t, want, rowsOf(t, s))
		it, err := s.db.NewIter(nil)
		require.NoError(t, err)
		numbers := map[number]bool{}
		for ok := it.First(); ok; ok = it.Next() {
			n, _, _, _ := cutHead(it.Key())
			numbers[n] = true
		}
		require.NoError(t, it.Close())
		delete(numbers, ownRows)
		require.Len(t, numbers, 2)
		require.NoError(t, s.Close())
	}
}
