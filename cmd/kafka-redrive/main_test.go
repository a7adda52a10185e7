package main

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/kafkatest"
)

func header(key, value string) kafkatest.Header {
	return kafkatest.Header{Key: key, Value: []byte(value)}
}

func TestRun(t *testing.T) {
	c := kafkatest.Fake(t)
	c.CreateTopic("letters", 1, 1, nil)
	c.CreateTopic("orders", 1, 1, nil)
	kafkatest.Produce(t, c.Addrs(), "letters", []kafkatest.Record{{Value: []byte("x"), Headers: []kafkatest.Header{
		header("millrace.error", "no number"), header("millrace.topic", "orders"), header("millrace.partition", "0"),
		header("millrace.offset", "17"), header("millrace.cluster", "c"), header("millrace.at", "2026-01-02T03:04:05Z"),
	}}})
	url := "kafka://" + c.Addrs()[0] + "/letters"
	for _, tc := range []struct {
		args []string
		want string
		left int
	}{
		{[]string{"-dry-run", url}, "orders/0:17 to orders/0: no number\n1 to be written back, 0 passed over, 0 no dead letters\n", 0},
		{[]string{"-match", "JSON", "-group", "g", url}, "0 written back, 1 passed over, 0 no dead letters\n", 0},
		{[]string{url}, "orders/0:17 to orders/0: no number\n1 written back, 0 passed over, 0 no dead letters\n", 1},
		{[]string{url}, "0 written back, 0 passed over, 0 no dead letters\n", 1},
	} {
		var out bytes.Buffer
		require.NoError(t, run(t.Context(), tc.args, &out, io.Discard))
		assert.Equal(t, tc.want, out.String())
		assert.Len(t, kafkatest.ReadAll(t, c.Addrs(), "orders"), tc.left)
	}
	require.ErrorContains(t, run(t.Context(), nil, io.Discard, io.Discard), "want one URL")
}
