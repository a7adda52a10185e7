package kafka

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/kafkatest"
)

// Bug: a process that was killed before its first checkpoint left transactions open that
// nobody aborted, if the next one had another number of lanes: readers of committed
// records waited until the transactions' time was over, 15 minutes by default.
func TestExactlyOnce_otherLanesLeaveTransactionsOpen(t *testing.T) {
	everywhere(t, func(t *testing.T, b kafkatest.Brokers, topic string) {
		url := urlTo(b, topic+"?linger=0s&exactly-once="+topic)
		isOpen := func(id string) bool {
			open, err := openTxns(t.Context(), b.Addrs())
			require.NoError(t, err)
			return slices.Contains(open, id)
		}
		laneOf(t, url, true, 0, 3, nil) // it notes that there are three
		dead := laneOf(t, url, true, 1, 3, nil)
		writeAll(t, dead, "lost=1")
		require.Eventually(t, func() bool { return isOpen(topic + "-3-1") }, 10*time.Second, time.Millisecond)

		lanes := []*lineWriter[string]{laneOf(t, url, true, 0, 2, nil), laneOf(t, url, true, 1, 2, nil)}
		for _, values := range [][]string{{"a=1", "b=1"}, {"a=2", "b=2"}} {
			for i, w := range lanes {
				writeAll(t, w, values[i])
				_, err := w.Prepare()
				require.NoError(t, err)
			}
			for _, w := range lanes {
				require.NoError(t, w.Commit())
			}
			assert.False(t, isOpen(topic+"-3-1"))
		}
		requireShown(t, b, topic, "a=1", "b=1", "a=2", "b=2")
		_, err := dead.Prepare()
		require.ErrorIs(t, err, ErrFenced, "it was not dead")

		again := laneOf(t, url, true, 0, 2, nil)
		assert.Empty(t, again.sender.lanes.others, "there is nothing to abort any more")
	})
}

func TestParseLanes(t *testing.T) {
	counts, err := parseLanes(formatLanes([]int{2, 16, 3}))
	require.NoError(t, err)
	assert.Equal(t, []int{2, 16, 3}, counts)
	counts, err = parseLanes("")
	require.NoError(t, err)
	assert.Empty(t, counts)
	for _, bad := range []string{"x", "0", "-1", "70000", "2,3"} {
		_, err := parseLanes(bad)
		assert.Error(t, err, bad)
	}
}
