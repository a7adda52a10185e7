package kafkatest

import (
	"testing"
)

func TestReal_one(t *testing.T) {
	c := Real(t, 1)
	t.Run("records", func(t *testing.T) { records(t, c) })
	t.Run("transactions", func(t *testing.T) { transactions(t, c) })
	t.Run("topics", func(t *testing.T) { topics(t, c) })
	t.Run("killed and restarted", func(t *testing.T) { restart(t, c, c.Kill) })
}

func TestReal_three(t *testing.T) {
	c := Real(t, 3)
	t.Run("leaders move", func(t *testing.T) { leaders(t, c) })
	t.Run("one is killed and comes back", func(t *testing.T) { failover(t, c, c.Kill) })
}
