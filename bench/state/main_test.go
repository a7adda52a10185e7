package main

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// asCommand is the variable that makes the test program the command itself.
const asCommand = "STATE_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// Goal: the command's figures are there, and state is intact behind the kill.
func TestBoth(t *testing.T) {
	t.Setenv(asCommand, "yes")
	for _, state := range []string{"memory", "pebble"} {
		var out bytes.Buffer
		args := []string{"-keys=20000", "-value=16", "-state=" + state, "-checkpoint-interval=20ms", "-state-memory=200000"}
		require.NoError(t, both(setting{}, args, &out))
		var line struct {
			filled
			restored
		}
		require.NoError(t, json.Unmarshal(out.Bytes(), &line), out.String())
		require.True(t, line.Intact, out.String())
		require.Len(t, line.DiskMB, 10)
		require.Positive(t, line.UpdatesPerS)
		require.Positive(t, line.RestoreS)
	}
}
