package statelog

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/commit"
)

var update = flag.Bool("update", false, "write the golden folders anew")

// history writes epochs 1 to 5 to fs, and says what each leaves behind:
//
//	1 base, 2 and 3 changes | one that is given up | close, open | 4 changes | 5 base
//
// It stops after the epoch last; so that after 5 the folder holds two bases.
func history(t *testing.T, fs FS, last int) (after map[uint64]*model) {
	after = map[uint64]*model{0: newModel()}
	m := newModel()
	l := open(t, fs, Config{})
	for n := 1; n <= last; n++ {
		if n == 4 {
			e := l.Begin(2)
			both{e, newModel(), 0, "count"}.put(1, "given", "up")
			e.Lane(0).(*laneWriter).flush()
			e.Discard()
		}
		if n == 4 && last == 5 {
			require.NoError(t, l.Close())
			l = open(t, fs, Config{})
		}
		e := l.Begin(2)
		if n == 5 {
			e.Whole()
			rewrite(e, m)
		}
		both{e, m, 0, "count"}.put(1, "a", fmt.Sprint("one ", n))
		both{e, m, 1, "count"}.put(600, fmt.Sprint("b", n), "two")
		both{e, m, 1, "join"}.append(601, "list", fmt.Sprint(n, ","))
		both{e, m, 1, "join"}.put(commit.LaneBound, "clock", fmt.Sprint(n))
		both{e, m, 0, "join"}.put(commit.EveryLane, fmt.Sprint("view", n), "")
		if n == 3 {
			both{e, m, 1, "count"}.delete(600, "b1")
		}
		require.NoError(t, e.Commit(record(n)))
		after[uint64(n)] = m.clone()
	}
	require.NoError(t, l.Close())
	return after
}

// golden is the folders of testdata, by how many epochs were written to them.
var golden = map[string]int{
	"v1/changes":   4, // a base and three epochs of changes, in one file
	"v1/two-bases": 5, // a base, changes in two files, and a base that nothing follows yet
	"v1/copied":    4, // as v1/changes, but opened again when it was not known that epoch 4 is durable
}

// writeGolden writes one of them.
func writeGolden(t *testing.T, dir string) (fs *fakeFS, after map[uint64]*model) {
	fs = newFake()
	after = history(t, fs, golden[dir])
	if dir == "v1/copied" {
		delete(fs.files, "00000001.ack")
		require.NoError(t, open(t, fs, Config{}).Close())
		require.Contains(t, fs.files, "00000002.ack")
	}
	delete(fs.files, lockName)
	return fs, after
}

func loadGolden(t *testing.T, dir string) *fakeFS {
	t.Helper()
	fs := newFake()
	list, err := os.ReadDir(filepath.Join("testdata", dir))
	require.NoError(t, err)
	for _, f := range list {
		b, err := os.ReadFile(filepath.Join("testdata", dir, f.Name()))
		require.NoError(t, err)
		fs.files[f.Name()] = &fakeFile{b, len(b)}
	}
	return fs
}

// Folders of version 1 stay readable, and the same epochs are still written in the same way.
func TestGolden(t *testing.T) {
	for dir, last := range golden {
		fs, after := writeGolden(t, dir)
		if *update {
			path := filepath.Join("testdata", dir)
			require.NoError(t, os.RemoveAll(path))
			require.NoError(t, os.MkdirAll(path, 0o755))
			for name, f := range fs.files {
				require.NoError(t, os.WriteFile(filepath.Join(path, name), f.b, 0o644))
			}
		}
		was := loadGolden(t, dir)
		for name, f := range was.files {
			assert.Equal(t, f.b, fs.files[name].b, "%s/%s", dir, name)
		}
		assert.Len(t, fs.files, len(was.files), dir)
		l := open(t, was, Config{})
		assert.EqualValues(t, last, l.Last().Epoch)
		assert.Equal(t, record(last).Splits, l.Last().Splits)
		assert.Equal(t, after[uint64(last)].rows, rows(t, l, commit.Want{}))
	}
}

// damaged opens fs, where something is damaged: either that is found, and an epoch that
// was committed is used, or all is as it was. Then it goes on from there. silence counts
// how often an older epoch is used and nothing said; nil: that must not be.
func damaged(t *testing.T, what string, fs *fakeFS, last int, after map[uint64]*model, silence *int) (epoch uint64, warned []string, err error) {
	t.Helper()
	cfg := Config{ID: 7, Warn: func(s string) { warned = append(warned, s) }}
	l, err := Open(fs, cfg)
	if err != nil {
		return 0, nil, err
	}
	if l.Last() != nil {
		epoch = l.Last().Epoch
		require.Equal(t, record(int(epoch)).Splits, l.Last().Splits, what)
	}
	require.Contains(t, after, epoch, what)
	require.Equal(t, after[epoch].rows, rows(t, l, commit.Want{}), what)
	if epoch < uint64(last) && len(warned) == 0 && silence != nil {
		*silence++
	} else if epoch < uint64(last) {
		require.NotEmpty(t, warned, "%s: epoch %d is used in silence", what, epoch)
		require.True(t, l.WantsWhole(), what)
	}
	require.NoError(t, l.Close())
	if testing.Short() && sum(0, []byte(what))%4 != 0 { // some of them, of all kinds
		return epoch, warned, nil
	}

	// Once more, which must be no different, and on from there.
	first := slices.Clone(warned)
	warned = nil
	l, err = Open(fs, cfg)
	require.NoError(t, err, what)
	if silence == nil {
		require.Equal(t, first, warned, what)
	}
	m := after[epoch].clone()
	e := l.Begin(2)
	both{e, m, 0, "count"}.put(1, "a", "anew")
	require.NoError(t, e.Commit(record(9)), what)
	require.NoError(t, l.Close())
	l = open(t, fs, Config{})
	require.Equal(t, epoch+1, l.Last().Epoch, what)
	require.Equal(t, m.rows, rows(t, l, commit.Want{}), what)
	return epoch, first, nil
}

func TestDamage_everyByteAndEveryTruncation(t *testing.T) {
	for dir, last := range golden {
		t.Run(dir, func(t *testing.T) {
			was := loadGolden(t, dir)
			_, after := writeGolden(t, dir)
			counts := map[string]int{}
			try := func(what string, change func(fs *fakeFS)) {
				fs := was.copied(false)
				change(fs)
				epoch, warned, err := damaged(t, what, fs, last, after, nil)
				switch {
				case err != nil:
					require.NotEqual(t, "v1/two-bases", dir, "%s: a base is left: %v", what, err)
					require.ErrorContains(t, err, "no epoch can be used: 0000000", what)
					counts["nothing usable"]++
				case epoch < uint64(last):
					require.Contains(t, warned[0], fmt.Sprintf("lost, epoch %d is used instead", epoch))
					counts["an older epoch"]++
				default:
					counts["exact"]++
				}
			}
			masks := []byte{0x01, 0x80, 0xff}
			if testing.Short() {
				masks = masks[:1]
			}
			for name, f := range was.files {
				for i := range f.b {
					for _, mask := range masks {
						try(fmt.Sprintf("%s: byte %d ^ %x", name, i, mask), func(fs *fakeFS) { fs.files[name].b[i] ^= mask })
					}
					try(fmt.Sprintf("%s: cut off at %d", name, i), func(fs *fakeFS) { fs.files[name].b = fs.files[name].b[:i] })
				}
				try(name+": gone", func(fs *fakeFS) { delete(fs.files, name) })
			}
			t.Log(counts)
			if dir == "v1/copied" {
				assert.Greater(t, counts["exact"], 2*len(was.files["00000002.log"].b), "where one copy of an epoch is damaged, there is another")
			}
			assert.Positive(t, counts["an older epoch"])
			assert.Positive(t, counts["exact"], "acknowledgements are hints")
		})
	}
}

// A power loss may take the acknowledgements. Then damage to the head of the newest
// epoch's commit looks like a crash before it; all else is still found.
func TestDamage_withoutAcknowledgements(t *testing.T) {
	for dir, last := range golden {
		was := loadGolden(t, dir)
		_, after := writeGolden(t, dir)
		newest := was.files["00000001.log"]
		for name, f := range was.files {
			if strings.HasSuffix(name, ackExt) {
				delete(was.files, name)
			} else if f.synced > 0 && name == fmt.Sprintf("%08d.log", map[string]int{"v1/changes": 1, "v1/two-bases": 3, "v1/copied": 2}[dir]) {
				newest = f
			}
		}
		silent := 0
		for name, f := range was.files {
			for i := range f.b {
				fs := was.copied(false)
				fs.files[name].b[i] ^= 0x10
				epoch, _, err := damaged(t, fmt.Sprintf("%s/%s: byte %d", dir, name, i), fs, last, after, &silent)
				if err != nil {
					require.NotEqual(t, "v1/two-bases", dir, "%s: byte %d: %v", name, i, err)
				} else if f != newest && dir != "v1/copied" {
					require.EqualValues(t, last, epoch, "%s/%s: byte %d", dir, name, i)
				}
			}
		}
		assert.LessOrEqual(t, silent, commitHead, dir)
	}
}

func TestDamage_sentences(t *testing.T) {
	for _, c := range []struct {
		story  string
		dir    string
		change func(fs *fakeFS)
		epoch  uint64
		says   string // of the warning, or of the error if epoch is 0
	}{
		{"the rows of the newest epoch are damaged", "v1/two-bases", func(fs *fakeFS) { fs.files["00000003.log"].b[headerSize+chunkHead+20] ^= 1 }, 4,
			`the folder of the log: 00000003.log at byte 128: the rows of "count" on lane 0 in epoch 5 do not have their checksum; epoch 5 is lost, epoch 4 is used instead`},
		{"a whole file is gone", "v1/two-bases", func(fs *fakeFS) { delete(fs.files, "00000003.log") }, 4,
			"the folder of the log: 00000003.log: the file is missing; epoch 5 is lost, epoch 4 is used instead"},
		{"two files have changed their names", "v1/two-bases", func(fs *fakeFS) {
			fs.files["00000003.log"], fs.files["00000002.log"] = fs.files["00000002.log"], fs.files["00000003.log"]
		}, 3, "00000002.log at byte 0: damaged: it was written as file 3 and has been renamed; epoch 4 is lost, epoch 3 is used instead"},
		{"a file was cut off between two epochs", "v1/changes", func(fs *fakeFS) {
			fs.files["00000001.log"].b = fs.files["00000001.log"].b[:lastCommit(fs.files["00000001.log"].b, 3)]
		}, 3, "it ends too soon; epoch 4 is lost, epoch 3 is used instead"},
		{"the base is damaged, and there is no other", "v1/changes", func(fs *fakeFS) { fs.files["00000001.log"].b[134] ^= 1 }, 0,
			"the folder of the log: no epoch can be used: 00000001.log at byte 128: the head of a chunk does not have its checksum; restore the folder from a copy, start from a savepoint, or empty the folder to begin anew"},
		{"a file of another log", "v1/two-bases", func(fs *fakeFS) {
			other := newFake()
			l, err := Open(other, Config{ID: 8})
			if err == nil {
				err = l.Begin(1).Commit(&commit.Record{})
			}
			if err != nil {
				panic(err)
			}
			fs.files["00000001.log"] = other.files["00000001.log"]
		}, 0, "holds files of two logs: 00000001.log and 00000002.log"},
		{"a file of nobody's", "v1/two-bases", func(fs *fakeFS) { fs.files["photo.jpg"] = &fakeFile{} }, 0,
			"the folder of the log holds files that are not of a log: photo.jpg; give the job a folder of its own"},
		{"a newer version", "v1/two-bases", func(fs *fakeFS) {
			b := fs.files["00000003.log"].b
			b[8] = 2
			s := sum(0, b[:60])
			b[60], b[61], b[62], b[63] = byte(s), byte(s>>8), byte(s>>16), byte(s>>24)
		}, 0, "the folder of the log: 00000003.log: format 2, where this one knows 1: written by a newer version of Millrace; use that one, or another folder"},
	} {
		t.Run(c.story, func(t *testing.T) {
			fs := loadGolden(t, c.dir)
			c.change(fs)
			before := fs.copied(false)
			var warned []string
			l, err := Open(fs, Config{Warn: func(s string) { warned = append(warned, s) }})
			if c.epoch == 0 {
				require.ErrorContains(t, err, c.says)
				delete(fs.files, lockName)
				for name, f := range before.files {
					require.Equal(t, f.b, fs.files[name].b, "nothing is written")
				}
				require.Len(t, fs.files, len(before.files))
				require.False(t, fs.locked)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.epoch, l.Last().Epoch)
			assert.Contains(t, strings.Join(warned, "\n"), c.says)
		})
	}
}

// lastCommit is where the epoch ends, in a segment.
func lastCommit(b []byte, epoch uint64) int64 {
	h, err := decodeHeader(b, logMagic, 1)
	if err != nil {
		panic(err)
	}
	s, err := scanSegment(&fakeReader{newFake(), &fakeFile{b, len(b)}, int64(len(b))}, newSegment(h), map[string]string{})
	if err != nil {
		panic(err)
	}
	r := s.epochs[epoch-1].record
	return r.off + int64(r.size)
}
