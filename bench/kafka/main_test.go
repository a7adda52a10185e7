package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/kafkatest"
)

// asCommand is the variable that makes the test program the command itself.
const asCommand = "KAFKA_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// Every client reads and writes all records, in a process of its own.
func TestCompare(t *testing.T) {
	t.Setenv(asCommand, "yes")
	k := kafkatest.Fake(t)
	w := work{brokers: k.Addrs(), records: 20_000, size: 50, partitions: 3, codec: "lz4", lanes: 2, every: 50_000_000}
	out := stdout(t, func() {
		require.NoError(t, compare(t.Context(), w, []string{"read", "write", "transactions"}, 1, false))
	})
	var seen []string
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var l line
		require.NoError(t, d.Decode(&l))
		seen = append(seen, l.Op+" "+l.Client)
		assert.Equal(t, 20_000, l.Records)
		assert.Positive(t, l.RecordsPerS)
		assert.Positive(t, l.CPUNsPerRecord)
	}
	assert.Equal(t, "read millrace,read franz-go,read kafka-go,write millrace,write franz-go,write kafka-go,transactions millrace,transactions franz-go", strings.Join(seen, ","))
}

func TestCompare_mistakes(t *testing.T) {
	w := work{brokers: []string{"127.0.0.1:1"}, records: 1, size: 1, partitions: 1}
	require.ErrorContains(t, compare(t.Context(), w, []string{"fly"}, 1, false), `-ops "fly": there are read, write, transactions`)
	require.ErrorContains(t, compare(t.Context(), w, nil, 0, false), "have to be above 0")
}

// stdout is what f prints.
func stdout(t *testing.T, f func()) []byte {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	old := os.Stdout
	defer func() { os.Stdout = old }()
	os.Stdout = w
	got := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(r)
		got <- b
	}()
	f()
	w.Close()
	return <-got
}
