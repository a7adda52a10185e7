package statelog

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/commit"
)

// Rows that are read are those that would be written in the same way; nothing else
// makes it panic.
func FuzzDecodeRow(f *testing.F) {
	f.Add(appendRow(nil, kindPut, 1023, []byte("key"), []byte("value")))
	f.Add(appendRow(nil, kindAppend, commit.LaneBound, nil, make([]byte, 200)))
	f.Add([]byte{kindDelete, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var c change
		if !decodeRow(b, &c) {
			return
		}
		require.LessOrEqual(t, c.size, len(b))
		again := appendRow(nil, c.kind, c.group, c.key, c.val)
		require.LessOrEqual(t, len(again), c.size, "lengths in their shortest form")
		var d change
		require.True(t, decodeRow(again, &d))
		require.Equal(t, len(again), d.size)
		require.True(t, d.kind == c.kind && d.group == c.group && bytes.Equal(d.key, c.key) && bytes.Equal(d.val, c.val))
	})
}

// Whatever lies in the files of a folder, it is opened or refused.
func FuzzOpen(f *testing.F) {
	fs := newFake()
	l, err := Open(fs, Config{ID: 7})
	if err != nil {
		f.Fatal(err)
	}
	e := l.Begin(1)
	e.Lane(0).Node("count")
	e.Lane(0).Put(1, []byte("key"), []byte("value"))
	if err := e.Commit(record(1)); err != nil {
		f.Fatal(err)
	}
	f.Add(fs.files["00000001.log"].b, fs.files["00000001.ack"].b)
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, log, ack []byte) {
		fs := newFake()
		fs.files["00000001.log"], fs.files["00000001.ack"] = &fakeFile{log, len(log)}, &fakeFile{ack, len(ack)}
		l, err := Open(fs, Config{ID: 7})
		if err != nil {
			return
		}
		rows(t, l, commit.Want{})
		require.NoError(t, l.Begin(1).Commit(record(1)))
	})
}
