package host

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/held"
)

func ident(inc held.Inc, e held.Epoch) held.Ident { return held.Ident{Gen: 1, Inc: inc, Epoch: e} }

// upTo is c with the epochs from to upTo of an incarnation behind it. What the first
// chunk of all holds is everything.
func (c chain) upTo(inc held.Inc, from, upTo held.Epoch) chain {
	for e := from; e <= upTo; e++ {
		of := noPart
		if len(c.named) == 0 {
			of = allParts
		}
		c.grow(ident(inc, e), of, []byte{byte(e)}, []byte("rows"))
	}
	return c
}

// part is c with the base of a part behind it.
func (c chain) part(inc held.Inc, e held.Epoch, of part) chain {
	c.grow(ident(inc, e), of, []byte{byte(e)})
	return c
}

func TestChain_rest(t *testing.T) {
	one := chain{}.upTo(1, 1, 5)
	two := one.upTo(2, 6, 9)
	anew := chain{}.upTo(2, 10, 12)
	other := chain{}
	other.grow(ident(1, 1), allParts, []byte("not the same"))
	most := one // all parts but one have a new base
	for of := range part(parts - 1) {
		most = most.part(1, 6+held.Epoch(of), of)
	}
	last := most.part(1, 22, parts-1)
	for _, tc := range []struct {
		name       string
		have, want chain
		epochs     []held.Epoch
		onward     bool
	}{
		{"nothing was read", chain{}, one, []held.Epoch{1, 2, 3, 4, 5}, false},
		{"nothing is new", one, one, nil, true},
		{"more of the same incarnation", chain{}.upTo(1, 1, 3), one, []held.Epoch{4, 5}, true},
		{"more of the next one", one, two, []held.Epoch{6, 7, 8, 9}, true},
		{"more of both", chain{}.upTo(1, 1, 3), two, []held.Epoch{4, 5, 6, 7, 8, 9}, true},
		{"all rows were written again", two, anew, []held.Epoch{10, 11, 12}, false},
		{"the job has gone back", two, one, []held.Epoch{1, 2, 3, 4, 5}, false},
		{"within an incarnation", one, chain{}.upTo(1, 1, 3), []held.Epoch{1, 2, 3}, false},
		{"another incarnation went on from there", one, chain{}.upTo(1, 1, 3).upTo(2, 4, 5), []held.Epoch{1, 2, 3, 4, 5}, false},
		{"a part was written again", one, one.part(1, 6, 0).upTo(1, 7, 8), []held.Epoch{6, 7, 8}, true},
		{"the last part was, and what was before is not named any more", most, last.upTo(1, 23, 24), []held.Epoch{22, 23, 24}, true},
		{"a part was once more", last, last.part(1, 23, 0), []held.Epoch{23}, true},
		{"all that was read is not named any more", one, last, []held.Epoch{6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22}, false},
		{"the job has gone back to before a part", one.part(1, 6, 0).upTo(1, 7, 8), one, []held.Epoch{1, 2, 3, 4, 5}, false},
		{"the same epochs with other bytes", other, chain{}.upTo(1, 1, 1), []held.Epoch{1}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rest, onward := tc.have.rest(tc.want.named)
			var epochs []held.Epoch
			for id := range idents(rest) {
				epochs = append(epochs, id.Epoch)
			}
			assert.Equal(t, tc.epochs, epochs)
			assert.Equal(t, tc.onward, onward)
		})
	}
}

// bytes is how many bytes the chunks are that a chain names; sizes are by epoch.
func (c *chain) bytes(sizes []int) (n int) {
	for id := range idents(c.named) {
		n += sizes[id.Epoch]
	}
	return n
}

// Goal: rows are written anew a part at a time once changes are as much as they are. A chain
// is then never more than twice as long as its rows, takes a name for each part and
// incarnation, and however many epochs it has, no epoch writes much more than a part.
func TestChain_next(t *testing.T) {
	const rows, changed = 17 << 20, 100 << 10
	c, sizes, names, bytes := chain{}, []int{0}, 0, make([]byte, rows)
	for e := held.Epoch(1); e < 5000; e++ {
		of := c.next(0)
		size := changed
		switch {
		case e == 1:
			require.Equal(t, allParts, of)
			size = rows
		case of != noPart:
			require.GreaterOrEqual(t, of, part(0), "epoch %d", e)
			size += rows / parts
		}
		sizes = append(sizes, size)
		c.grow(ident(1+held.Inc(e/1000), e), of, bytes[:size])
		if names = max(names, len(c.named)); e > 1000 {
			require.InDelta(t, 2*rows+changesMin, c.bytes(sizes), rows/4, "epoch %d", e)
		}
	}
	require.LessOrEqual(t, names, parts+4)
	small, bases := chain{}, 0
	for e := held.Epoch(1); e < 5000; e++ {
		of := small.next(0)
		require.Contains(t, []part{noPart, allParts}, of, "few rows are written at once")
		if small.grow(ident(1, e), of, []byte("little")); of == allParts {
			bases++
			require.Len(t, small.named, 1)
		}
	}
	require.Equal(t, 1+5000*chunkLeast/changesMin, bases, "small chunks count as %d bytes", chunkLeast)
}

// changelog is pieces of the epochs of a slot, and the records that name them.
type changelog struct {
	pieces [][]byte
	until  []int // by epoch: how many pieces there are with it
	recs   []*held.Record
	rows   []map[string]string // by epoch
}

// changes makes a changelog in which a part of the rows is written again after every most
// chunks of changes.
func changes(r *rand.Rand, epochs, most int) (l changelog) {
	c, model := chain{}, map[string]commit.Row{}
	name := func(row commit.Row) string { return fmt.Sprint(row.Node, row.Lane, row.Group, string(row.Key)) }
	for e := range epochs {
		logs := []*commit.RowLog{commit.NewRowLog(nil), commit.NewRowLog(nil)}
		id := ident(1+held.Inc(e/30), held.Epoch(e+1))
		of := c.next(most)
		anew := func(group int) bool { return of == allParts || of == partOf(group) }
		lane := 0
		change := func(row commit.Row, how func(*commit.RowLog)) {
			if logs[lane].Node(row.Node); !anew(row.Group) {
				how(logs[lane])
			}
		}
		put := func(row commit.Row) {
			model[name(row)] = row
			change(row, func(l *commit.RowLog) { l.Put(row.Group, row.Key, row.Val) })
		}
		for range 20 {
			k := r.IntN(50)
			lane = k % 2
			row := commit.Row{Node: "count", Lane: -1, Group: k % 40, Key: fmt.Append(nil, k), Val: fmt.Append(nil, e, " ")}
			if r.IntN(3) > 0 {
				put(row)
				continue
			}
			change(row, func(l *commit.RowLog) { l.Append(row.Group, row.Key, row.Val) })
			row.Val = slices.Concat(model[name(row)].Val, row.Val)
			model[name(row)] = row
		}
		group := commit.LaneBound - r.IntN(2)
		put(commit.Row{Node: "count", Lane: lane, Group: group, Key: fmt.Append(nil, group), Val: fmt.Append(nil, e)})
		k := r.IntN(50)
		gone := commit.Row{Node: "count", Lane: -1, Group: k % 40, Key: fmt.Append(nil, k)}
		lane = k % 2
		delete(model, name(gone))
		change(gone, func(l *commit.RowLog) { l.Delete(gone.Group, gone.Key) })
		rows := map[string]string{}
		for name, row := range model {
			if rows[name] = string(row.Val); anew(row.Group) {
				to := logs[max(row.Lane, 0)]
				to.Node(row.Node)
				to.Append(row.Group, row.Key, row.Val)
			}
		}
		l.rows = append(l.rows, rows)
		chunk := makeChunk(of, logs, &commit.Record{Lanes: 2})
		c.grow(id, of, chunk...)
		l.pieces = split(l.pieces, chunkOf(id), chunk...)
		l.until = append(l.until, len(l.pieces))
		l.recs = append(l.recs, &held.Record{Gen: 1, Inc: id.Inc, Epoch: id.Epoch, Chunks: c.named})
	}
	return l
}

func rowsOf(t *testing.T, m *image) map[string]string {
	all := map[string]string{}
	require.NoError(t, m.rows.each(commit.Want{}, func(r commit.Row) error {
		all[fmt.Sprint(r.Node, r.Lane, r.Group, string(r.Key))] = string(r.Val)
		return nil
	}))
	return all
}

// Goal: who reads along and comes to a record now and then has the rows of its epoch, as who
// reads everything for it, and holds nothing that can't be named any more.
func TestImage_readsAlong(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 3))
		l := changes(r, 120, 1+r.IntN(4))
		along, read := newImage(), 0
		for e := 0; e < len(l.recs); e += 1 + r.IntN(20) {
			upTo := l.until[min(e+r.IntN(3), len(l.until)-1)]
			for ; read < upTo; read++ {
				require.NoError(t, along.add(uint64(read+1), l.pieces[read]))
			}
			require.NoError(t, along.settle(l.recs[e]), "seed %d, epoch %d", seed, e+1)
			fresh := newImage()
			for i := range l.until[e] { // it begins before what the record names
				require.NoError(t, fresh.add(uint64(i+1), l.pieces[i]))
			}
			require.NoError(t, fresh.settle(l.recs[e]))
			require.Equal(t, l.rows[e], rowsOf(t, along), "seed %d, epoch %d", seed, e+1)
			require.Equal(t, l.rows[e], rowsOf(t, fresh), "seed %d, epoch %d", seed, e+1)
			require.Equal(t, l.recs[e].Chunks, along.named)
			require.Equal(t, fresh.chain, along.chain)
			require.LessOrEqual(t, len(along.first), len(along.named)+3*6)
			require.Empty(t, fresh.parts)
		}
	}
}

// Goal: what is lost or not as it was written is found, wherever it lies.
func TestImage_damage(t *testing.T) {
	l := changes(rand.New(rand.NewPCG(1, 3)), 20, 100)
	rec := l.recs[19]
	for hit := range l.pieces {
		m, short := newImage(), newImage()
		for i, p := range l.pieces {
			if i != hit {
				require.NoError(t, short.add(uint64(i+1), p))
			} else {
				p = append([]byte{}, p...)
				p[len(p)-1] ^= 1
			}
			require.NoError(t, m.add(uint64(i+1), p))
		}
		require.ErrorContains(t, m.settle(rec), "has other changes")
		require.ErrorContains(t, short.settle(rec), "has lost changes")
		require.NoError(t, short.add(99, l.pieces[hit]))
		require.NoError(t, short.settle(rec), "a piece that comes late is as good")
	}
}

// Goal: who begins to read a changelog has room for what lies there, and not for pieces of
// full length: that was 256 KiB for each epoch since the base, which the collector of a
// standby had to follow while others wanted the processors.
func TestImage_room(t *testing.T) {
	l := changes(rand.New(rand.NewPCG(1, 3)), 100, 1000)
	m, whole := newImage(), 0
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i, p := range l.pieces {
		require.NoError(t, m.add(uint64(i+1), p))
		whole += len(p)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(whole+len(l.pieces)*(4<<10)))
}
