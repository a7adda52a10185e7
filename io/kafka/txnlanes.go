package kafka

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/io/kafka/internal/client"
)

// laneCounts is the numbers of lanes with which runs of the prefix may have left
// transactions open. A run that is killed before its first checkpoint, and goes on with
// another number of lanes, has ids of its own, and nobody opens those of before: readers
// would wait until their transactions' time is over. So lane 0 notes the number of lanes
// in a group before anything is written, and aborts what the others have left when the
// first checkpoint of the run is committed: by then, what was in the one before is so.
type laneCounts struct {
	group  string
	home   client.TopicPartition
	mine   int
	others []int
}

// noteLanes reads what was noted, and adds the number of this run.
func (s *sender) noteLanes(lanes int) error {
	c := &laneCounts{group: s.cfg.prefix + "-lanes", home: client.TopicPartition{Topic: s.cfg.to.Topic}, mine: lanes}
	var all map[client.TopicPartition]client.GroupOffset
	err := s.patiently(func() (err error) {
		all, err = s.client.GroupOffsets(s.ctx, c.group, []client.TopicPartition{c.home})
		return err
	})
	if err != nil {
		return fmt.Errorf("group %s: %w", c.group, err)
	}
	noted, err := parseLanes(all[c.home].Metadata)
	if err != nil {
		return fmt.Errorf("group %s holds %q, which is no list of numbers of lanes: it is used for something else", c.group, all[c.home].Metadata)
	}
	c.others = slices.DeleteFunc(slices.Clone(noted), func(n int) bool { return n == lanes })
	s.lanes = c
	if slices.Contains(noted, lanes) {
		return nil
	}
	return s.putLanes(append(noted, lanes))
}

func (s *sender) putLanes(counts []int) error {
	c := s.lanes
	err := s.patiently(func() error {
		return s.client.CommitGroup(s.ctx, c.group, map[client.TopicPartition]client.GroupOffset{c.home: {Epoch: -1, Metadata: formatLanes(counts)}})
	})
	if err != nil {
		return fmt.Errorf("group %s: %w", c.group, err)
	}
	return nil
}

// patiently calls f until it goes well, never can, or the time for delivery is over.
func (s *sender) patiently(f func() error) error {
	began := time.Now()
	for n := 1; ; n++ {
		err := f()
		if err == nil || judge(err) == refused || time.Since(began) >= s.cfg.delivery {
			return err
		}
		select {
		case <-time.After(backoff(n)):
		case <-s.ctx.Done():
			return err
		}
	}
}

// abortOthers aborts what runs with other numbers of lanes have left open. If that does
// not go well it is tried again at the next commit.
func (s *sender) abortOthers() {
	c := s.lanes
	if c == nil || len(c.others) == 0 {
		return
	}
	for len(c.others) > 0 {
		n := c.others[0]
		for lane := range n {
			if err := s.takeOver(lane, n); err != nil {
				slog.Warn("a transaction of an earlier run can't be aborted: readers may have to wait for the end of its time", "kafka", s.cfg.to.String(), "id", txnID(s.cfg.prefix, lane, n), "why", err)
				return
			}
		}
		c.others = c.others[1:]
	}
	if err := s.putLanes([]int{c.mine}); err != nil {
		slog.Warn("what is noted of earlier runs stays", "kafka", s.cfg.to.String(), "why", err)
	}
}

// takeOver opens the part of a lane of another run, and closes it: what that has left
// open is aborted, and if the run should live, it finds that another writer has come.
func (s *sender) takeOver(lane, lanes int) error {
	o := newSender(s.sink, lanes)
	if err := o.connect(s.ctx); err != nil {
		return err
	}
	defer o.close()
	if err := o.openTxn(lane, lanes, nil); err != nil {
		return err
	}
	o.start()
	return o.opened()
}

// txnID is the id of a lane's transactions.
func txnID(prefix string, lane, lanes int) string {
	return fmt.Sprintf("%s-%d-%d", prefix, lanes, lane)
}

// maxLanes is more than any run has.
const maxLanes = 1 << 16

func formatLanes(counts []int) string {
	var words []string
	for _, n := range counts {
		words = append(words, strconv.Itoa(n))
	}
	return strings.Join(words, " ")
}

func parseLanes(text string) (counts []int, err error) {
	for _, w := range strings.Fields(text) {
		n, err := strconv.Atoi(w)
		if err != nil || n < 1 || n > maxLanes {
			return nil, fmt.Errorf("%q is no number of lanes", w)
		}
		counts = append(counts, n)
	}
	return counts, nil
}
