package main

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
)

func TestMain(m *testing.M) {
	beChild() // this binary is the job, too
	os.Exit(m.Run())
}

// Goal: kill -9 at any moment loses nothing and writes nothing twice, also where the
// number of lanes changes.
func TestKills(t *testing.T) {
	k, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SleepOutOfOrder())
	require.NoError(t, err)
	defer k.Close()
	for _, rescale := range []bool{false, true} {
		s := schedule{Brokers: k.ListenAddrs(), Kills: 6, Lanes: 2, Rescale: rescale, Seed: 3, Checkpoint: 10 * time.Millisecond, Rate: 2000, Longest: 300 * time.Millisecond}
		res, err := s.run(t.Context(), t.TempDir())
		require.NoError(t, err)
		require.NoError(t, res.check())
		require.Positive(t, res.Output)
		t.Logf("%+v", res)
	}
}
