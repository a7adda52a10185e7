package kafka

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace/millrace/internal/kafkatest"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

// Goal: each record counts once, and in the order of its partition, while leaders move,
// brokers stop, partitions are added, and the pipeline itself fails and goes back to
// its snapshots. Method: all of it at random.
func TestRead_chaos(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 9))
			b := kafkatest.Fake(t, kfake.NumBrokers(3))
			partitions := 4
			b.CreateTopic("t", partitions, 1, nil)
			w := newPen(t, b)
			sum := &kept{}
			var seen atomic.Int64
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			p := pipeline.New()
			values := Read(p, brokersURL(b, "t?group=g"), String(), Discover(5*time.Millisecond), FetchBudget(budgetLeast))
			values = pipeline.TryMap(values, func(_ context.Context, s string) (string, error) {
				if seen.Add(1)%97 == 0 {
					return "", errors.New("now and then")
				}
				return s, nil
			})
			pipeline.Write(values, "test.Kept", sum)
			ended := make(chan error, 1)
			go func() {
				_, err := local.Run(ctx, p, local.Config{Parallelism: 2, Checkpoint: 2 * time.Millisecond, Retries: 1000})
				ended <- err
			}()
			stopped, stops := int32(-1), 0
			var want []string
			for n := range 150 {
				switch k := rnd.IntN(12); {
				case k < 7:
					part := rnd.IntN(partitions)
					value := fmt.Sprintf("%d:%05d", part, n)
					w.sendTo("t", part, value)
					want = append(want, value)
				case k < 9:
					node := rnd.Int32N(3)
					if node != stopped {
						b.MoveLeader("t", rnd.Int32N(int32(partitions)), node)
					}
				case k == 9 && n > 50 && stopped < 0:
					stopped = rnd.Int32N(3)
					stops++
					b.Stop(stopped)
				case k == 9 && stopped >= 0:
					b.Start(stopped)
					stopped = -1
				case k == 10 && partitions < 8 && stops == 0: // kfake loses its controller
					partitions++
					b.AddPartitions("t", partitions)
				case k == 11:
					<-time.After(time.Duration(rnd.IntN(5)) * time.Millisecond)
				}
			}
			awaitLen(t, func() int { return len(sum.committed()) }, len(want))
			cancel(errEnough)
			require.ErrorIs(t, <-ended, errEnough)
			got := sum.committed()
			for part := range partitions {
				of := func(all []string) []string {
					return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s[0] != byte('0'+part) })
				}
				assert.Equal(t, of(want), of(got), "partition %d", part)
			}
		})
	}
}
