package host

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/held"
	"github.com/millrace/millrace/internal/natsbus"
)

// vault is an acceptor in memory.
type vault struct {
	mu       sync.Mutex
	values   map[string][]byte
	versions map[string]uint64
	down     bool
}

func (v *vault) Read(_ context.Context, key string) ([]byte, uint64, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.down {
		return nil, 0, errors.New("it is down")
	}
	return v.values[key], v.versions[key], nil
}

func (v *vault) CAS(_ context.Context, key string, val []byte, version uint64) (uint64, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.down:
		return 0, errors.New("it is down")
	case version != v.versions[key]:
		return 0, natsbus.ErrStale
	}
	v.values[key] = val
	v.versions[key]++
	return v.versions[key], nil
}

// promise promises a register to somebody who never comes back.
func (v *vault) promise(t *testing.T, key string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c := held.Cell{}
	require.NoError(t, held.Decode(v.values[key], &c))
	c.Ballot += 1 << 32
	v.values[key] = held.Append(nil, &c)
	v.versions[key]++
}

// votes reports that it has a vote in a register.
func (v *vault) votes(t *testing.T, key string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	c := held.Cell{Learns: true}
	if b := v.values[key]; b != nil {
		require.NoError(t, held.Decode(b, &c))
	}
	return !c.Learns
}

func (v *vault) fail() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.down = true
}

func (j *job) acceptors() (list []Acceptor) {
	if len(j.vaults) == 0 {
		return []Acceptor{j.store.Acceptor()}
	}
	for _, v := range j.vaults {
		list = append(list, v)
	}
	return list
}

// Goal: who can't write its register for long takes it over from itself: of three acceptors
// one is promised to who died over a takeover, and one is down, so that a put is neither
// good nor fenced. It holds for slots and for the leader, once all acceptors have a vote.
func TestRun_putIsStuck(t *testing.T) {
	out := &ledger{shown: map[uint64][]string{}}
	build, want := numbered(40_000, 50, out)
	j := newJob(t, 3, 1, build).small()
	j.putMost = 200 * time.Millisecond
	for range 3 {
		j.vaults = append(j.vaults, &vault{values: map[string][]byte{}, versions: map[string]uint64{}})
	}
	var slot held.Inc
	j.chaos = func(ctx context.Context) {
		j.until(ctx, func() bool {
			_, yes, _ := j.settled(0)
			for _, v := range j.vaults {
				yes = yes && v.votes(t, slotKey(0)) && v.votes(t, jobKey)
			}
			return yes
		})
		slot = j.hosts[0].Load().reg.core.Ballot()
		j.vaults[2].fail()
		j.vaults[1].promise(t, slotKey(0))
		j.vaults[1].promise(t, jobKey)
	}
	j.run()
	require.Equal(t, want, out.lines())
	require.Greater(t, j.hosts[0].Load().reg.core.Ballot(), slot+1<<32, "it has passed who died")
	require.Regexp(t, `^slot 0 generation .* committed`, j.hosts[0].Load().cfg.Meter.Protocol())
}
