package main

import (
	"net"
	"os"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/chaos"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	beJob()
	chaos.BeServer()
	os.Exit(m.Run())
}

// Goal: a fault of each kind is measured, and neither loses nor doubles anything.
func TestRecovery(t *testing.T) {
	program, err := os.Executable()
	require.NoError(t, err)
	for _, fault := range []chaos.Kind{chaos.Kill, chaos.Stop, chaos.Cut, chaos.NATS} {
		t.Run(string(fault), func(t *testing.T) {
			s := setting{Kills: 1, Fault: fault, For: 300 * time.Millisecond, Workers: 2, Rate: 500, Keys: 100, Calm: 400 * time.Millisecond, Seed: 1}
			if fault == chaos.Kill {
				s.State, s.SinkCommit = 1<<20, "epoch" // with cuts a kill may fall between two of them
			}
			res, err := s.run(t.Context(), program, t.TempDir())
			require.NoError(t, err)
			require.NoError(t, res.check())
			require.Equal(t, 1, res.Kills)
			require.Positive(t, res.Gap50)
			require.Positive(t, res.Calm50)
			if fault != chaos.Kill {
				require.Greater(t, res.Gap50, 250.0, "a pause of 300 ms is seen")
			}
			t.Logf("%+v", res)
		})
	}
}

// Goal: what is lost, shown again or written by who was replaced is counted.
func TestWatch(t *testing.T) {
	w := &watch{lanes: map[int]*lane{}, last: map[uint64]uint64{}}
	require.True(t, w.take(nil, &page{Opens: true, Counts: []count{{1, 1}, {2, 1}}}))
	require.True(t, w.take(nil, &page{Counts: []count{{1, 1}, {2, 1}, {1, 2}}}), "what is there already is passed over")
	require.EqualValues(t, 3, w.shown)
	require.Equal(t, 1, w.showing())
	require.Zero(t, w.again+w.lost)
	require.True(t, w.take(nil, &page{From: 3, Counts: []count{{1, 2}, {2, 4}}}))
	require.EqualValues(t, 1, w.again)
	require.EqualValues(t, 2, w.lost)
	w.finish(9, 3)
	require.EqualValues(t, 2+1+3, w.lost)
	newer, older := net.Pipe()
	defer newer.Close()
	defer older.Close()
	require.True(t, w.take(newer, &page{Opens: true, From: 5}))
	require.False(t, w.take(older, &page{From: 5, Counts: []count{{1, 3}}}))
	require.Equal(t, 1, w.fenced)
	require.EqualValues(t, 5, w.shown)
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]uint64{"0": 0, "7": 7, "3KB": 3000, "500MB": 5e8, "1GB": 1e9} {
		n, err := parseSize(text)
		require.NoError(t, err)
		require.Equal(t, want, n, text)
	}
	_, err := parseSize("many")
	require.EqualError(t, err, "-state many: want a number of bytes, as 500MB or 1GB")
	require.ErrorContains(t, setting{Fault: "flood"}.check(), "-fault flood: want kill, stop, cut or nats")
}
