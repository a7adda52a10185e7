package kafka

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/millrace/millrace/io/kafka/internal/client"
)

// committer commits offsets to a group for others to see. If that fails it is logged,
// and the next snapshot's are committed: nothing depends on it.
type committer struct {
	client offsetCommitter
	group  string
	poke   chan struct{} // cap 1: there is something to commit
	ended  chan struct{}
	ctx    context.Context
	stop   context.CancelFunc

	mu   sync.Mutex // guards what follows
	next map[client.TopicPartition]client.GroupOffset
}

type offsetCommitter interface {
	CommitGroup(ctx context.Context, group string, offsets map[client.TopicPartition]client.GroupOffset) error
}

// lastCommit is how long the last offsets of a run may take to be committed.
const lastCommit = 5 * time.Second

func newCommitter(c offsetCommitter, group string) *committer {
	ctx, stop := context.WithCancel(context.Background())
	return &committer{client: c, group: group, poke: make(chan struct{}, 1), ended: make(chan struct{}), ctx: ctx, stop: stop,
		next: map[client.TopicPartition]client.GroupOffset{}}
}

// add has an offset committed soon. It does not wait.
func (c *committer) add(tp client.TopicPartition, at spot) {
	c.mu.Lock()
	c.next[tp] = client.GroupOffset{Offset: at.next, Epoch: at.epoch}
	c.mu.Unlock()
	select {
	case c.poke <- struct{}{}:
	default:
	}
}

// end has run end when what was added is committed, within a limit.
func (c *committer) end() {
	close(c.ended)
	time.AfterFunc(lastCommit, c.stop)
}

func (c *committer) run() {
	defer c.stop()
	failing := false
	for last := false; !last; {
		select {
		case <-c.poke:
		case <-c.ended:
			last = true
		}
		c.mu.Lock()
		offsets := c.next
		c.next = map[client.TopicPartition]client.GroupOffset{}
		c.mu.Unlock()
		if len(offsets) == 0 {
			continue
		}
		err := c.client.CommitGroup(c.ctx, c.group, offsets)
		switch {
		case err != nil && !failing:
			slog.Warn("offsets are not committed: the job goes on, but the group's lag is not what it seems", "group", c.group, "why", err)
		case err == nil && failing:
			slog.Info("offsets are committed again", "group", c.group)
		}
		failing = err != nil
	}
}
