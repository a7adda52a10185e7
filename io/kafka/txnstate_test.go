package kafka

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/kafka/internal/batch"
)

var update = flag.Bool("update", false, "rewrite golden files")

func batchWith(values ...string) []byte {
	var b batch.Builder
	b.Reset(nil)
	for _, v := range values {
		b.Add(1000, nil, []byte(v), nil)
	}
	return b.Finish(batch.None)
}

func someState() *txnState {
	return &txnState{run: token{1, 2, 3, 4, 5, 6, 7, 8}, number: 300, prefix: "sink", parts: []txnPart{
		{"orders", 0, [][]byte{batchWith("a", "b"), batchWith("c")}},
		{"orders", 7, [][]byte{batchWith("d")}},
		{"others", 300, [][]byte{batchWith("e")}},
	}}
}

func TestTxnState_golden(t *testing.T) {
	path := filepath.Join("testdata", "txnstate_v2")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o777))
		require.NoError(t, os.WriteFile(path, []byte(hex.Dump(someState().encode(nil))), 0o666))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), hex.Dump(someState().encode(nil)), "old snapshots have these bytes: another format needs another version")
}

func TestTxnState(t *testing.T) {
	for _, s := range []*txnState{someState(), {run: token{9}, number: 7, prefix: "p"}} {
		got, err := decodeTxnState(s.encode(nil))
		require.NoError(t, err)
		require.Equal(t, s, got)
	}
	good := someState().encode(nil)
	for n := range good {
		_, err := decodeTxnState(good[:n])
		require.Error(t, err, "cut to %d bytes", n)
		bad := append([]byte(nil), good...)
		bad[n] ^= 4
		_, err = decodeTxnState(bad)
		require.Error(t, err, "another byte at %d", n)
	}
	_, err := decodeTxnState(append([]byte{3}, good[1:]...))
	require.ErrorContains(t, err, "has version 3, which this program does not know")
}

func FuzzTxnState(f *testing.F) {
	good := someState().encode(nil)
	head := len(good) - 4
	for _, p := range someState().parts {
		for _, raw := range p.batches {
			head -= len(raw)
		}
	}
	f.Add(good[:head], good[head+4:])
	f.Fuzz(func(t *testing.T, head, batches []byte) {
		s, err := decodeTxnState(append(appendSum(bytes.Clone(head), 0), batches...)) // so that the fuzzer comes to what lies behind the sum
		if err != nil {
			return
		}
		for _, p := range s.parts {
			for _, raw := range p.batches {
				batch.Stamp(raw, batch.Producer{}, 0, true) // does not panic
			}
		}
	})
}

func TestPosition(t *testing.T) {
	p := txnPosition{7, token{1}, token{2}, lineage{{token{3}, 6}, {token{4}, 0}}}
	assert.Equal(t, "1 0100000000000000 0200000000000000 0300000000000000:6 0400000000000000:0", p.metadata())
	got, err := parseTxnPosition(7, p.metadata())
	require.NoError(t, err)
	require.Equal(t, p, got)
	for _, bad := range []string{"", "2 0100000000000000 0200000000000000", "1 01 02", "1 0100000000000000 x", p.metadata() + " 0300000000000000",
		p.metadata() + strings.Repeat(" 0300000000000000:1", 7), "1 010000000000000000 0200000000000000"} {
		_, err := parseTxnPosition(7, bad)
		require.ErrorContains(t, err, "the group is used for something else", bad)
	}
}
