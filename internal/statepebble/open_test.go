package statepebble

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/commit"
)

// files are all files of a folder.
func files(t *testing.T, fs vfs.FS, dir string) map[string]string {
	m := map[string]string{}
	names, err := fs.List(dir)
	require.NoError(t, err)
	for _, name := range names {
		b, err := readFile(fs, fs.PathJoin(dir, name))
		require.NoError(t, err)
		m[name] = string(b)
	}
	return m
}

func fill(t *testing.T, fs vfs.FS, dir string, files map[string]string) {
	require.NoError(t, fs.MkdirAll(dir, 0o777))
	for name, content := range files {
		require.NoError(t, writeFile(fs, fs.PathJoin(dir, name), []byte(content)))
	}
}

func TestFoldersThatAreNotOursAreLeftAlone(t *testing.T) {
	for _, c := range []struct {
		name string
		make map[string]string
		want string
	}{
		{"files of something else", map[string]string{"notes.txt": "buy milk"}, "something else than this program's state"},
		{"a marker of something else", map[string]string{markerName: "hello"}, "not one of this program's"},
		{"a newer version", map[string]string{markerName: "millrace statepebble 2 made\n", "x": ""}, "version 2, this program knows version 1"},
		{"a cut marker", map[string]string{markerName: "millrace statepebble 1"}, "damaged"},
		{"a marker alone", map[string]string{markerName: "millrace statepebble 1 made\n"}, "does not exist"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := vfs.NewMem()
			fill(t, fs, "state", c.make)
			_, err := Open("state", Config{FS: fs})
			require.ErrorContains(t, err, "state in state: ")
			require.ErrorContains(t, err, c.want)
			left := files(t, fs, "state")
			delete(left, lockName)
			require.Equal(t, c.make, left)
		})
	}
	t.Run("another store of the library", func(t *testing.T) {
		fs := vfs.NewMem()
		db, err := pebble.Open("state", &pebble.Options{FS: fs, Logger: &logger{}})
		require.NoError(t, err)
		require.NoError(t, db.Set([]byte("a"), []byte("b"), pebble.Sync))
		require.NoError(t, db.Close())
		before := files(t, fs, "state")
		_, err = Open("state", Config{FS: fs})
		require.ErrorContains(t, err, "something else than this program's state")
		require.Equal(t, before, files(t, fs, "state"))
	})
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Config{})
	require.NoError(t, err)
	_, err = Open(dir, Config{})
	require.ErrorContains(t, err, "another process has it open")
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	_, _, err = s.Get("n", 1, nil, nil)
	require.ErrorIs(t, err, errClosed)
	s, err = Open(dir, Config{})
	require.NoError(t, err)
	require.NoError(t, s.Close())
}

// damageable is a store with files of all kinds, as a process that was killed left
// it, and its models by epoch.
func damageable(t *testing.T, seed uint64) (map[string]string, []model) {
	fs := vfs.NewCrashableMem()
	s, err := Open("state", smallConfig(fs, seed))
	require.NoError(t, err)
	p := &program{rng: rand.New(rand.NewPCG(seed, 4)), s: s}
	p.reset(model{})
	models := []model{p.m}
	for len(models) < 12 {
		if p.step(t) {
			models = append(models, p.m)
		}
	}
	killed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: p.rng})
	require.NoError(t, s.Close())
	return files(t, killed, "state"), models
}

// open opens damaged files, and says which epoch it found, or why it found none.
func openDamaged(t *testing.T, seed uint64, files map[string]string, models []model) (found int, _ []string, err error) {
	var warned sentences
	fs := vfs.NewMem()
	fill(t, fs, "state", files)
	cfg := smallConfig(fs, seed)
	cfg.Warn = warned.add
	s, err := Open("state", cfg)
	if err != nil {
		return 0, warned.list(), err
	}
	defer func() { require.NoError(t, s.Close()) }()
	if last := s.Last(); last != nil {
		found = int(last.Epoch)
	}
	got := model{}
	err = s.Rows(commit.Want{}, func(r commit.Row) error {
		got[id(r.Node, r.Group, r.Lane, r.Key)] = string(r.Val)
		return nil
	})
	if err == nil {
		require.Equal(t, models[found], got)
	}
	for k, want := range models[found] {
		if k.group < 0 {
			continue
		}
		val, ok, e := s.Get(k.node, k.group, []byte(k.key), nil)
		if e == nil {
			require.True(t, ok)
			require.Equal(t, want, string(val))
		}
		err = errors.Join(err, e)
	}
	return found, warned.list(), err
}

func TestDamageIsNeverReadAsRows(t *testing.T) {
	outcomes := map[string]int{}
	for seed := range uint64(6) {
		whole, models := damageable(t, seed)
		newest := len(models) - 1
		found, warned, err := openDamaged(t, seed, whole, models)
		require.NoError(t, err)
		require.Empty(t, warned)
		require.Equal(t, newest, found)
		rng := rand.New(rand.NewPCG(seed, 5))
		for name, content := range whole {
			for range 12 {
				damaged := maps.Clone(whole)
				what := ""
				switch rng.IntN(6) {
				case 0:
					delete(damaged, name)
					what = "gone"
				case 1:
					damaged[name] = content[:rng.IntN(len(content)+1)]
					what = "cut"
				default:
					if len(content) == 0 {
						continue
					}
					b := []byte(content)
					at := rng.IntN(len(b))
					b[at] ^= 1 << rng.IntN(8)
					damaged[name] = string(b)
					what = fmt.Sprint("flipped at ", at)
				}
				found, warned, err := openDamaged(t, seed, damaged, models)
				kind := name
				if i := strings.IndexAny(name, ".-"); i >= 0 && name[0] < 'A' {
					kind = name[i:]
				}
				switch {
				case err != nil:
					outcomes[kind+" refused"]++
					assert.ErrorContains(t, err, "state in state: ")
					if name != markerName {
						assert.ErrorContains(t, err, "restore from a savepoint")
					}
					if outcomes[kind+" refused"] < 4 {
						t.Logf("%s %s: %v", name, what, err)
					}
				case found == newest:
					outcomes[kind+" harmless"]++
				default:
					require.Equal(t, newest-1, found, "%s %s", name, what)
					outcomes[kind+" fell back"]++
					if outcomes[kind+" fell back"] < 3 {
						t.Logf("%s %s: %q", name, what, warned)
					}
					require.NotEmpty(t, warned, "%s %s", name, what)
				}
			}
		}
	}
	t.Log(outcomes)
}
