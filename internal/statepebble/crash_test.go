package statepebble

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

// crashes is a file system that crashes, again and again: at syncs it copies what
// the disk may hold at that moment.
type crashes struct {
	vfs.FS
	mem  *vfs.MemFS
	rate int // of so many syncs one crashes

	mu       sync.Mutex
	rng      *rand.Rand
	commits  int // that have returned
	begun    int // that were begun
	wrecks   []wreck
	disabled bool
}

// wreck is what a crash left, and which epochs it may hold.
type wreck struct {
	fs       *vfs.MemFS
	from, to int
}

func newCrashes(rng *rand.Rand, rate int) *crashes {
	mem := vfs.NewCrashableMem()
	return &crashes{FS: mem, mem: mem, rng: rng, rate: rate}
}

func (c *crashes) maybe() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.disabled || c.rng.IntN(c.rate) > 0 {
		return
	}
	w := wreck{from: c.commits, to: c.begun}
	w.fs = c.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 30, 70, 100}[c.rng.IntN(4)], RNG: c.rng})
	c.wrecks = append(c.wrecks, w)
}

func (c *crashes) committing() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun++
}

func (c *crashes) committed() {
	c.mu.Lock()
	c.commits = c.begun
	c.mu.Unlock()
	c.maybe()
}

func (c *crashes) wrap(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &crashFile{f, c}, nil
}

func (c *crashes) Create(name string, k vfs.DiskWriteCategory) (vfs.File, error) {
	c.maybe()
	return c.wrap(c.FS.Create(name, k))
}

func (c *crashes) OpenDir(name string) (vfs.File, error) { return c.wrap(c.FS.OpenDir(name)) }

func (c *crashes) Rename(from, to string) error {
	c.maybe()
	defer c.maybe()
	return c.FS.Rename(from, to)
}

func (c *crashes) Remove(name string) error {
	defer c.maybe()
	return c.FS.Remove(name)
}

type crashFile struct {
	vfs.File
	c *crashes
}

func (f *crashFile) Sync() error {
	f.c.maybe()
	defer f.c.maybe()
	return f.File.Sync()
}

func (f *crashFile) SyncData() error {
	f.c.maybe()
	defer f.c.maybe()
	return f.File.SyncData()
}

func (f *crashFile) SyncTo(n int64) (bool, error) {
	f.c.maybe()
	defer f.c.maybe()
	return f.File.SyncTo(n)
}

// smallConfig makes files and batches small, so that all happens with few rows.
func smallConfig(fs vfs.FS, seed uint64) Config {
	return Config{FS: fs, MemTableBytes: []int{2 << 10, 8 << 10, 64 << 10}[seed%3], CacheBytes: 1 << 20}
}

func TestCrashesLoseNothingThatIsCommitted(t *testing.T) {
	total, seeds := 0, 200
	if testing.Short() {
		seeds = 60
	}
	for seed := range uint64(seeds) {
		rng := rand.New(rand.NewPCG(seed, 2))
		c := newCrashes(rand.New(rand.NewPCG(seed, 3)), 1+rng.IntN(40))
		p := &program{rng: rng, c: c}
		p.reset(model{})
		models := []model{p.m} // by epoch
		var err error
		p.s, err = Open("some/state", smallConfig(c, seed))
		require.NoError(t, err)
		for range 8 {
			if p.step(t) {
				models = append(models, p.m)
			}
			if rng.IntN(5) == 0 {
				require.NoError(t, p.s.Close())
				p.s, err = Open("some/state", smallConfig(c, seed))
				require.NoError(t, err)
				p.reset(p.m)
			}
		}
		p.check(t)
		require.NoError(t, p.s.Close())
		c.mu.Lock()
		wrecks := c.wrecks
		c.disabled = true
		c.mu.Unlock()
		rng.Shuffle(len(wrecks), func(i, j int) { wrecks[i], wrecks[j] = wrecks[j], wrecks[i] })
		for _, w := range wrecks[:min(len(wrecks), 8)] {
			total++
			recoverFrom(t, seed, w, models, rng)
		}
	}
	require.Greater(t, total, 5*seeds)
}

// recoverFrom opens what a crash left, and goes on from there.
func recoverFrom(t *testing.T, seed uint64, w wreck, models []model, rng *rand.Rand) {
	var warned sentences
	cfg := smallConfig(w.fs, seed)
	cfg.Warn = warned.add
	s, err := Open("some/state", cfg)
	require.NoError(t, err, "seed %d", seed)
	require.Empty(t, warned.list())
	n := 0
	if last := s.Last(); last != nil {
		n = int(last.Epoch)
	}
	require.GreaterOrEqual(t, n, w.from, "seed %d", seed)
	require.LessOrEqual(t, n, w.to, "seed %d", seed)
	checkStore(t, s, models[n])
	p := &program{rng: rng, s: s}
	p.reset(models[n])
	p.step(t)
	p.check(t)
	require.NoError(t, s.Close())
}
