package cluster

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Goal: the line tells what is true of the job as a whole, in each of its phases.
func TestStatus_line(t *testing.T) {
	live, opening, ended := Live, Opening, Ended
	workers := []WorkerStatus{{Number: 1, Host: "h"}, {Number: 2, Host: "h"}}
	slot := func(s *SlotState, elements, read, total int64, epoch uint64) SlotStatus {
		return SlotStatus{Worker: 1, State: s, Elements: elements, Read: read, Total: total, Epoch: epoch}
	}
	for _, tc := range []struct {
		s    Status
		want string
	}{
		{Status{Phase: Gathering, Wait: 3, Workers: workers}, "waiting for workers: 2 of 3 are here"},
		{Status{Phase: Running, Workers: workers, Slots: []SlotStatus{slot(&live, 3000, 30, 100, 7), slot(&live, 1000, 20, 100, 7)}},
			"4k elements, 400/s, 2 of 2 slots on 2 workers, epoch 7, 25% read, 30s left"},
		{Status{Phase: Running, Workers: workers[:1], Slots: []SlotStatus{slot(&live, 3000, 30, 100, 7), slot(&opening, 1000, 20, 0, 9), {}}},
			"4k elements, 400/s, 1 of 3 slots on 1 worker, epochs 0 to 9"},
		{Status{Phase: Draining, Workers: workers[:1], Slots: []SlotStatus{slot(&ended, 10, 1, 1, 0)}},
			"10 elements, 1/s, 1 of 1 slot on 1 worker, draining"},
	} {
		require.Equal(t, tc.want, tc.s.Line(10*time.Second))
	}
}

// Goal: who looks after the servers learns whether one more may end.
func TestStatus_kept(t *testing.T) {
	for want, k := range map[string]*Kept{
		"3 NATS servers keep it, and each has all":                                    {Servers: 3, Whole: true},
		"3 NATS servers keep it, and not each has all yet: wait before one more ends": {Servers: 3},
		"what NATS keeps could not be looked at: no answer":                           {Why: "no answer"},
	} {
		s := Status{Phase: Running, Kept: k}
		require.Contains(t, s.String(), "\n"+want+"\n")
	}
}
