package kafka

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/kafka/internal/client"
)

// fakeOffsets knows of partitions that have offsets 10 to 90, of which 80 is in an open
// transaction, at times of ten times as many milliseconds.
type fakeOffsets map[client.TopicPartition]int64 // what the group has committed

var errOffsets = errors.New("no")

func (f fakeOffsets) Offsets(_ context.Context, parts []client.TopicPartition, at client.OffsetAt) (map[client.TopicPartition]client.OffsetEpoch, error) {
	open := client.Latest()
	stable := client.Latest()
	stable.Committed = true
	out := map[client.TopicPartition]client.OffsetEpoch{}
	for _, tp := range parts {
		switch at {
		case client.Earliest():
			out[tp] = client.OffsetEpoch{Offset: 10}
		case open:
			out[tp] = client.OffsetEpoch{Offset: 90}
		case stable:
			out[tp] = client.OffsetEpoch{Offset: 80}
		case client.AtTime(500):
			out[tp] = client.OffsetEpoch{Offset: 50}
		case client.AtTime(9000):
			out[tp] = client.OffsetEpoch{Offset: -1}
		default:
			return nil, errOffsets
		}
	}
	return out, nil
}

func (f fakeOffsets) GroupOffsets(_ context.Context, group string, parts []client.TopicPartition) (map[client.TopicPartition]client.GroupOffset, error) {
	if group != "g" {
		return nil, errOffsets
	}
	out := map[client.TopicPartition]client.GroupOffset{}
	for _, tp := range parts {
		if o, ok := f[tp]; ok {
			out[tp] = client.GroupOffset{Offset: o, Epoch: 7}
		}
	}
	return out, nil
}

func TestPlace_find(t *testing.T) {
	parts := []client.TopicPartition{{Topic: "t", Partition: 0}, {Topic: "t", Partition: 1}}
	f := fakeOffsets{parts[1]: 33}
	given := map[TopicPartition]int64{{"t", 0}: 5}
	for _, tc := range []struct {
		story string
		at    Place
		open  bool
		want  [2]spot
	}{
		{"earliest", Earliest(), false, [2]spot{{10, -1, -1}, {10, -1, -1}}},
		{"latest", Latest(), false, [2]spot{{80, -1, -1}, {80, -1, -1}}},
		{"latest of all", Latest(), true, [2]spot{{90, -1, -1}, {90, -1, -1}}},
		{"a time", AtTime(time.UnixMilli(500)), false, [2]spot{{50, -1, -1}, {50, -1, -1}}},
		{"a time behind all", AtTime(time.UnixMilli(9000)), false, [2]spot{{80, -1, -1}, {80, -1, -1}}},
		{"offsets", AtOffsets(given, Latest()), true, [2]spot{{5, -1, -1}, {90, -1, -1}}},
		{"the group", Committed(Earliest()), false, [2]spot{{10, -1, -1}, {33, 7, -1}}},
		{"offsets, else the group", AtOffsets(given, Committed(Earliest())), false, [2]spot{{5, -1, -1}, {33, 7, -1}}},
	} {
		t.Run(tc.story, func(t *testing.T) {
			got, err := tc.at.find(t.Context(), f, "g", tc.open, parts)
			require.NoError(t, err)
			assert.Equal(t, map[client.TopicPartition]spot{parts[0]: tc.want[0], parts[1]: tc.want[1]}, got)
		})
	}
	_, err := Committed(Earliest()).find(t.Context(), f, "h", false, parts)
	require.ErrorIs(t, err, errOffsets)
	require.ErrorContains(t, err, "what group h has committed")
	_, err = AtTime(time.UnixMilli(1)).find(t.Context(), f, "g", false, parts)
	require.ErrorIs(t, err, errOffsets)
}
