package savefile

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/commit"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var facts = Facts{time.Date(2026, 11, 24, 16, 0, 0, 5e6, time.UTC), "before-upgrade", "shop", "local", "memory"}

func record() *commit.Record {
	return &commit.Record{
		Epoch: 7, Lanes: 2, Hint: 4,
		Manifest: commit.Manifest{Hash: 12345, Nodes: []commit.Node{
			{Name: "clicks", Kind: "Read", Position: "main.go:10", Out: []string{"beam:coder:string_utf8:v1"}, Source: true},
			{Name: "count", Kind: "Combine", Position: "main.go:12", Key: "beam:coder:string_utf8:v1", State: []string{"value n beam:coder:varint:v1"}, Stateful: true},
		}},
		Splits: map[string][]commit.Split{"clicks": {{ID: "a.txt", Pos: []byte{1, 2}, Lane: 1}, {ID: "b.txt", Done: true, Lane: -1}}},
		Times:  []commit.Time{{Node: "count", Lane: 0, In: 100, Out: 90}},
	}
}

func smallRows() []commit.Row {
	return []commit.Row{
		{Node: "count", Lane: -1, Group: 1023, Key: []byte("zebra"), Val: []byte{9}},
		{Node: "count", Lane: -1, Group: 0, Key: []byte("ant"), Val: []byte{1}},
		{Node: "clock", Lane: 1, Group: commit.LaneBound, Key: []byte("low"), Val: []byte{5}},
		{Node: "count", Lane: -1, Group: 0, Key: []byte("bee"), Val: nil},
		{Node: "clock", Lane: 0, Group: commit.LaneBound, Key: []byte("low"), Val: []byte{4}},
		{Node: "clock", Lane: 1, Group: commit.EveryLane, Key: nil, Val: []byte{6}},
	}
}

// randomRows are n rows with names of their own.
func randomRows(seed uint64, n int) []commit.Row {
	r := rand.New(rand.NewPCG(seed, 1))
	rows := make([]commit.Row, n)
	for i := range rows {
		val := make([]byte, r.IntN(200))
		for j := range val {
			val[j] = byte(r.IntN(4))
		}
		rows[i] = commit.Row{Node: fmt.Sprintf("node %d", r.IntN(3)), Lane: -1, Group: r.IntN(1024), Key: fmt.Appendf(nil, "key %06d", i), Val: val}
		if i%100 == 0 {
			rows[i].Group, rows[i].Lane = commit.LaneBound-r.IntN(2), r.IntN(5)
		}
	}
	return rows
}

// storeOf is a store whose newest epoch holds rows.
func storeOf(t testing.TB, rec *commit.Record, rows []commit.Row) commit.Store {
	s := commit.NewMemory()
	e := s.Begin(8)
	for _, r := range rows {
		w := e.Lane(max(r.Lane, 0))
		w.Node(r.Node)
		w.Put(r.Group, r.Key, r.Val)
	}
	require.NoError(t, e.Commit(rec))
	rec.Epoch = 7
	return s
}

func writeTo(t testing.TB, rows []commit.Row, budget int) string {
	path := filepath.Join(t.TempDir(), "a"+Suffix)
	require.NoError(t, create(path, facts, record(), from(rows), budget))
	return path
}

func from(rows []commit.Row) func(func(commit.Row) error) error {
	return func(f func(commit.Row) error) error {
		for _, r := range rows {
			if err := f(r); err != nil {
				return err
			}
		}
		return nil
	}
}

func openFile(t testing.TB, path string) *File {
	f, err := Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func read(t testing.TB, s commit.Store, want commit.Want) (rows []commit.Row) {
	require.NoError(t, s.Rows(want, func(r commit.Row) error {
		r.Key, r.Val = bytes.Clone(r.Key), bytes.Clone(r.Val)
		rows = append(rows, r)
		return nil
	}))
	return rows
}

func sorted(rows []commit.Row) []commit.Row {
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b commit.Row) int {
		if a.Node != b.Node {
			return bytes.Compare([]byte(a.Node), []byte(b.Node))
		}
		return placeOf(&a).compare(placeOf(&b))
	})
	for i := range rows { // nil and empty are one
		rows[i].Key, rows[i].Val = append([]byte{}, rows[i].Key...), append([]byte{}, rows[i].Val...)
	}
	return rows
}

func chosen(rows []commit.Row, want commit.Want) (out []commit.Row) {
	for _, r := range sorted(rows) {
		if want.Wants(r.Node, r.Lane, r.Group) {
			out = append(out, r)
		}
	}
	return out
}

func TestWrite_andOpen(t *testing.T) {
	for _, tc := range []struct {
		name   string
		rows   []commit.Row
		budget int
	}{
		{"no rows", nil, sortBudget},
		{"a few", smallRows(), sortBudget},
		{"many chunks", randomRows(1, 20_000), sortBudget},
		{"more than fit in memory", randomRows(2, 20_000), 100_000},
		{"each row a run of its own", randomRows(3, 200), 1},
		{"a large row among small ones", append(smallRows(), commit.Row{Node: "count", Lane: -1, Group: 3, Key: []byte("whale"), Val: bytes.Repeat([]byte("abcdefghij"), 2<<20)}), 1 << 20},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x"+Suffix)
			rec := record()
			require.NoError(t, create(path, facts, rec, from(tc.rows), tc.budget))
			f := openFile(t, path)
			require.Equal(t, facts, f.Facts())
			require.Equal(t, rec, f.Last())
			require.NoError(t, f.Check())
			require.Empty(t, compare(sorted(tc.rows), read(t, f, commit.Want{})))
			left, err := os.ReadDir(filepath.Dir(path))
			require.NoError(t, err)
			require.Len(t, left, 1, "temporary files are gone")
		})
	}
}

// compare says how two lists of rows differ, shortly.
func compare(want, got []commit.Row) string {
	if len(want) != len(got) {
		return fmt.Sprintf("%d rows instead of %d", len(got), len(want))
	}
	for i := range want {
		w, g := want[i], got[i]
		if w.Node != g.Node || w.Lane != g.Lane || w.Group != g.Group || !bytes.Equal(w.Key, g.Key) || !bytes.Equal(w.Val, g.Val) {
			return fmt.Sprintf("row %d: %q %d %d %q instead of %q %d %d %q", i, g.Node, g.Lane, g.Group, g.Key, w.Node, w.Lane, w.Group, w.Key)
		}
	}
	return ""
}

// Goal: the bytes hang on nothing but what the state is.
func TestWrite_equalStateEqualBytes(t *testing.T) {
	rows := randomRows(4, 5_000)
	first := filepath.Join(t.TempDir(), "1"+Suffix)
	require.NoError(t, Write(first, storeOf(t, record(), rows), facts))
	want, err := os.ReadFile(first)
	require.NoError(t, err)
	for seed := range uint64(3) {
		other := slices.Clone(rows)
		rand.New(rand.NewPCG(seed, 2)).Shuffle(len(other), func(i, j int) { other[i], other[j] = other[j], other[i] })
		for i := range other {
			if other[i].Group >= 0 {
				other[i].Lane = int(seed) // who wrote the row of a key counts for nothing
			}
		}
		path := writeTo(t, other, 50_000)
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got), "seed %d", seed)
	}
}

func TestRows_chosen(t *testing.T) {
	rows := randomRows(5, 20_000)
	f := openFile(t, writeTo(t, rows, sortBudget))
	for name, want := range map[string]commit.Want{
		"one node":           {Node: func(n string) bool { return n == "node 1" }},
		"one group":          {Group: func(g int) bool { return g == 500 }},
		"the upper half":     {Group: func(g int) bool { return g >= 512 }, Lane: func(l int) bool { return l == 2 }},
		"no group":           {Group: func(int) bool { return false }},
		"no lane":            {Lane: func(int) bool { return false }},
		"a node that is not": {Node: func(n string) bool { return n == "?" }},
	} {
		require.Empty(t, compare(chosen(rows, want), read(t, f, want)), name)
	}
	require.Equal(t, []string{"node 0", "node 1", "node 2"}, f.Nodes())
	ones := chosen(rows, commit.Want{Node: func(n string) bool { return n == "node 1" }})
	size := Size{Rows: int64(len(ones))}
	for _, r := range ones {
		size.Bytes += int64(len(r.Key) + len(r.Val))
	}
	require.Equal(t, size, f.Size("node 1"))
	require.Zero(t, f.Size("node 7"))
}

// Goal: few groups are no reason to read the whole file.
func TestRows_skipsChunks(t *testing.T) {
	b, err := os.ReadFile(writeTo(t, randomRows(6, 40_000), sortBudget))
	require.NoError(t, err)
	r := &counting{bytes.NewReader(b), 0}
	f, err := openAt(r, int64(len(b)))
	require.NoError(t, err)
	r.n = 0
	read(t, f, commit.Want{Node: func(n string) bool { return n == "node 1" }, Group: func(g int) bool { return g == 700 }})
	require.NotZero(t, r.n)
	require.Less(t, r.n, len(b)/5)
}

type counting struct {
	*bytes.Reader
	n int
}

func (c *counting) ReadAt(b []byte, at int64) (int, error) {
	c.n += len(b)
	return c.Reader.ReadAt(b, at)
}

func TestGetAndScan(t *testing.T) {
	rows := randomRows(7, 20_000)
	f := openFile(t, writeTo(t, rows, sortBudget))
	for _, r := range rows[:500] {
		if r.Group < 0 {
			continue
		}
		val, ok, err := f.Get(r.Node, r.Group, r.Key, []byte("before "))
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, "before "+string(r.Val), string(val))
		_, ok, err = f.Get(r.Node, r.Group, append(slices.Clone(r.Key), '?'), nil)
		require.NoError(t, err)
		require.False(t, ok)
	}
	_, ok, err := f.Get("nobody", 3, []byte("k"), nil)
	require.NoError(t, err)
	require.False(t, ok)
	for _, group := range []int{0, 17, 512, 1023} {
		for _, prefix := range []string{"", "key 01", "key 000", "zzz"} {
			var want, got []string
			for _, r := range sorted(rows) {
				if r.Node == "node 2" && r.Group == group && bytes.HasPrefix(r.Key, []byte(prefix)) {
					want = append(want, string(r.Key)+"="+string(r.Val))
				}
			}
			require.NoError(t, f.Scan("node 2", group, []byte(prefix), func(k, v []byte) error {
				got = append(got, string(k)+"="+string(v))
				return nil
			}))
			require.Equal(t, want, got, "group %d, prefix %q", group, prefix)
		}
	}
	enough := errors.New("seen enough")
	require.ErrorIs(t, f.Scan("node 2", 17, nil, func(_, _ []byte) error { return enough }), enough)
}

func TestImport(t *testing.T) {
	rows := randomRows(8, 3_000)
	f := openFile(t, writeTo(t, rows, sortBudget))
	dst := commit.NewMemory()
	require.NoError(t, Import(dst, f))
	got := read(t, dst, commit.Want{})
	for i := range got {
		if got[i].Group >= 0 {
			got[i].Lane = -1
		}
	}
	require.Empty(t, compare(sorted(rows), sorted(got)))
	want := record()
	want.Epoch = 1
	require.Equal(t, want, dst.Last())
	require.Equal(t, uint64(7), f.Last().Epoch, "the savepoint's own record is as it was")

	again := filepath.Join(t.TempDir(), "again"+Suffix)
	require.NoError(t, Write(again, dst, facts))
	require.Empty(t, compare(sorted(rows), read(t, openFile(t, again), commit.Want{})))

	require.EqualError(t, Import(dst, f), "import: there is state already, of epoch 1")
	require.EqualError(t, Import(commit.NewMemory(), commit.NewMemory()), "import: there is nothing to import")
}

func TestWrite_refusals(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x"+Suffix)
	require.ErrorContains(t, Write(path, commit.NewMemory(), facts), "nothing has been committed yet that it could hold")
	require.ErrorContains(t, Write(filepath.Join(dir, "none", "x"), storeOf(t, record(), nil), facts), "no such file")

	twice := append(smallRows(), smallRows()[1])
	for _, budget := range []int{sortBudget, 1} {
		require.ErrorContains(t, create(path, facts, record(), from(twice), budget), `two rows of "count", group 0, lane 0, have one key, 616e74: this is a defect of the store`)
	}
	require.ErrorContains(t, Create(path, facts, record(), from([]commit.Row{{Node: "n", Group: 1024}})), "there is no such group")
	broken := errors.New("the disk is on fire")
	require.ErrorIs(t, Create(path, facts, record(), func(func(commit.Row) error) error { return broken }), broken)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left, "what failed leaves nothing behind")

	require.NoError(t, os.WriteFile(filepath.Join(dir, tempPrefix("x"+Suffix)+"123"), []byte("of a process that died"), 0o600))
	require.NoError(t, Write(path, storeOf(t, record(), smallRows()), facts))
	require.ErrorIs(t, Write(path, storeOf(t, record(), nil), facts), fs.ErrExist)
	left, err = os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1)

	f := openFile(t, path)
	e := f.Begin(1)
	w := e.Lane(0)
	w.Node("count")
	w.Put(0, []byte("k"), nil)
	require.ErrorContains(t, e.Commit(record()), "a savepoint never changes; start a job from it")
	require.False(t, f.WantsWhole())
}

// moving is a store that goes on to the next epoch while it is read.
type moving struct{ commit.Store }

func (m moving) Rows(want commit.Want, f func(commit.Row) error) error {
	rec := *m.Last()
	if err := m.Begin(1).Commit(&rec); err != nil {
		return err
	}
	return m.Store.Rows(want, f)
}

func TestWrite_epochChanges(t *testing.T) {
	s := commit.NewMemory()
	require.NoError(t, s.Begin(1).Commit(record()))
	path := filepath.Join(t.TempDir(), "x"+Suffix)
	require.ErrorContains(t, Write(path, moving{s}, facts), "epoch 1 was followed by another while its rows were read")
}

func TestOpen_notASavepoint(t *testing.T) {
	dir := t.TempDir()
	_, err := Open(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = Open(dir)
	require.ErrorIs(t, err, ErrNot)
	for _, content := range []string{"", "MILR", "some text that is long enough to be anything at all, one should think", "{}"} {
		path := filepath.Join(dir, "x")
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		_, err := Open(path)
		require.ErrorIs(t, err, ErrNot, content)
	}
	b, err := os.ReadFile("testdata/v1.savepoint")
	require.NoError(t, err)
	b[len(magic)+3] = 2
	_, err = openAt(bytes.NewReader(b), int64(len(b)))
	require.ErrorIs(t, err, commit.ErrNewer)
}

// Goal: files of this version are read for ever.
func TestGolden(t *testing.T) {
	const golden = "testdata/v1.savepoint"
	path := writeTo(t, smallRows(), sortBudget)
	if *update {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(golden, b, 0o644))
	}
	f := openFile(t, golden)
	require.Equal(t, facts, f.Facts())
	require.Equal(t, record(), f.Last())
	require.Empty(t, compare(sorted(smallRows()), read(t, f, commit.Want{})))
}

// whole opens and reads all of b.
func whole(b []byte) error {
	f, err := openAt(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Check()
}

// Goal: no flipped byte and no missing end is ever read as data.
func TestDamage_everyByteOfTheGoldenFile(t *testing.T) {
	b, err := os.ReadFile("testdata/v1.savepoint")
	require.NoError(t, err)
	require.NoError(t, whole(b))
	for i := range b {
		for flip := 1; flip < 256; flip++ {
			b[i] ^= byte(flip)
			if err := whole(b); !detected(err) {
				t.Fatalf("byte %d of %d xor %#x: %v", i, len(b), flip, err)
			}
			b[i] ^= byte(flip)
		}
	}
	for n := range b {
		if err := whole(b[:n]); !detected(err) {
			t.Fatalf("cut to %d of %d bytes: %v", n, len(b), err)
		}
	}
	require.ErrorIs(t, whole(append(bytes.Clone(b), 0)), ErrDamaged)
}

func TestDamage_random(t *testing.T) {
	b, err := os.ReadFile(writeTo(t, randomRows(9, 3_000), sortBudget))
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(9, 9))
	for range 300 {
		i, flip := r.IntN(len(b)), byte(1+r.IntN(255))
		b[i] ^= flip
		require.True(t, detected(whole(b)), "byte %d xor %#x", i, flip)
		b[i] ^= flip
		n := r.IntN(len(b))
		require.True(t, detected(whole(b[:n])), "cut to %d", n)
	}
}

func detected(err error) bool {
	return errors.Is(err, ErrDamaged) || errors.Is(err, ErrNot) || errors.Is(err, commit.ErrNewer)
}

// Goal: bytes whose checksums hold are no reason to panic either.
func FuzzIndex(f *testing.F) {
	f.Add(appendIndex(nil, []node{{name: "n", rows: 1, bytes: 2, chunks: []chunk{{first: place{3, 0, []byte("k")}, rows: 1, raw: 6, stored: 100, crc: 7}}}}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		nodes, err := decodeIndex(b, 50, 150)
		if err == nil && !bytes.Equal(appendIndex(nil, nodes), b) {
			if again, err := decodeIndex(appendIndex(nil, nodes), 50, 150); err != nil || len(again) != len(nodes) {
				t.Fatalf("an index that is read and written is another: %v", err)
			}
		}
	})
}
