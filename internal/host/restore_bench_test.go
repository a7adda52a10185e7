package host

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/held"
	"github.com/millrace/millrace/internal/natsbus"
)

var restoreMB = flag.Int("restore-mb", 8, "MB of state that BenchmarkRestore restores")

// kept is a changelog with the state of one slot: rows of 1 KB, all of them in the first
// chunk, and a tenth of them again in 100 epochs behind it.
func kept(b *testing.B, log *natsbus.Changelog) *held.Record {
	const lanes, epochs, row = 2, 100, 1000
	rows := *restoreMB * 1e6 / row
	rec := &held.Record{Gen: 1, Inc: 1}
	s := chain{}
	r := rand.New(rand.NewPCG(1, 1))
	val := make([]byte, row)
	for e := range held.Epoch(epochs + 1) {
		logs := []*commit.RowLog{commit.NewRowLog(nil), commit.NewRowLog(nil)}
		n := rows
		if e > 0 {
			n = rows / 10 / epochs
		}
		for i := range n {
			k := uint64(i)
			if e > 0 {
				k = r.Uint64N(uint64(rows))
			}
			for i := 0; i+8 <= len(val); i += 8 {
				binary.LittleEndian.PutUint64(val[i:], r.Uint64())
			}
			l := logs[k%lanes]
			l.Node("count")
			l.Put(int(k%256), binary.BigEndian.AppendUint64(nil, k), val)
		}
		of := noPart
		if e == 0 {
			of = allParts
		}
		chunk := makeChunk(of, logs, &commit.Record{Lanes: lanes})
		rec.Epoch = e + 1
		s.grow(rec.Ident(), of, chunk...)
		_, _, err := log.Append(b.Context(), 0, split(nil, chunkOf(rec.Ident()), chunk...)...)
		require.NoError(b, err)
	}
	rec.Chunks = s.named
	return rec
}

// BenchmarkRestore restores a slot from its changelog, and hands its rows out as the engine
// has them. "read" is the reading alone, against which the rest is to be held.
//
//	go test ./internal/host -run '^$' -bench Restore -benchtime 3x -restore-mb 300
func BenchmarkRestore(b *testing.B) {
	s, err := natsbus.StartServer(b.Context(), natsbus.ServerConfig{Dir: b.TempDir()})
	require.NoError(b, err)
	defer s.Close()
	st, err := natsbus.OpenStore(natsbus.Config{Job: "test", Server: s})
	require.NoError(b, err)
	defer st.Close()
	log := st.Changelog()
	require.NoError(b, log.Create(b.Context(), 0))
	rec := kept(b, log)
	run := func(name string, f func() int) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			runtime.GC()
			bytes := 0
			for b.Loop() {
				bytes = f()
			}
			b.SetBytes(int64(bytes))
		})
	}
	run("read", func() (n int) {
		require.NoError(b, log.Read(b.Context(), 0, 0, math.MaxUint64, func(_ uint64, p []byte) error {
			n += len(p)
			return nil
		}))
		return n
	})
	for _, lanes := range []int{1, 2} {
		run(fmt.Sprint("image and rows, lanes=", lanes), func() (n int) {
			m, err := imageOf(context.Background(), log, rec, nil)
			require.NoError(b, err)
			for lane := range lanes {
				require.NoError(b, m.rows.each(commit.Want{Group: func(g int) bool { return g%lanes == lane }}, func(r commit.Row) error {
					n += len(r.Key) + len(r.Val)
					return nil
				}))
			}
			return n
		})
	}
}
