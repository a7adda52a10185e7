package kafka

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/kafka/internal/batch"
	"github.com/millrace/millrace/io/kafka/internal/client"
)

// modelLog is a partition of a broker, as far as sequences go.
type modelLog struct {
	values []int
	last   map[int64][]modelBatch // the newest five of each producer
}

type modelBatch struct {
	sequence int32
	records  int
}

func (m *modelLog) append(raw []byte) int16 {
	var r batch.Reader
	r.Reset(raw, 0, batch.Options{})
	id := int64(binary.BigEndian.Uint64(raw[43:]))
	sequence := int32(binary.BigEndian.Uint32(raw[53:]))
	n := batch.Count(raw)
	last := m.last[id]
	want := int32(0)
	for _, b := range last {
		if b == (modelBatch{sequence, n}) {
			return 46
		}
		want = batch.NextSequence(b.sequence, b.records)
	}
	if sequence != want {
		if len(last) == 0 {
			return 59
		}
		return 45
	}
	m.last[id] = append(last, modelBatch{sequence, n})
	if len(m.last[id]) > 5 {
		m.last[id] = m.last[id][1:]
	}
	var rec batch.Record
	for r.Next(&rec) {
		m.values = append(m.values, int(binary.BigEndian.Uint32(rec.Value)))
	}
	if r.Err() != nil {
		panic(r.Err())
	}
	return 0
}

// simStream writes values through one stream to a broker whose network loses requests
// and answers and brings requests late, and which forgets producers if it forgets.
func simStream(seed uint64, forgets bool) error {
	rnd := rand.New(rand.NewPCG(seed, 1))
	log := &modelLog{last: map[int64][]modelBatch{}}
	s := &stream{topic: "t", producer: batch.Producer{ID: 1}}
	producers := int64(1)
	var late [][]byte // requests that are still somewhere
	next, total := 0, 5+rnd.IntN(60)
	for next < total || len(s.queue) > 0 {
		if next < total && rnd.IntN(2) == 0 {
			var b batch.Builder
			b.Reset(nil)
			for range 1 + rnd.IntN(3) {
				b.Add(0, nil, binary.BigEndian.AppendUint32(nil, uint32(next)), nil)
				next++
			}
			n := b.Len()
			s.queue = append(s.queue, &parcel{batch: b.Finish(batch.None), records: n})
		}
		if len(late) > 0 && rnd.IntN(4) == 0 {
			i := rnd.IntN(len(late))
			log.append(late[i])
			late = append(late[:i], late[i+1:]...)
		}
		if forgets && rnd.IntN(20) == 0 {
			log.last, late = map[int64][]modelBatch{}, nil
		}
		if len(s.queue) == 0 {
			continue
		}
		if s.wants {
			producers++
			s.renew(batch.Producer{ID: producers})
		}
		s.stamp(s.queue[0], false)
		raw := append([]byte(nil), s.queue[0].batch...)
		var err error
		switch rnd.IntN(6) {
		case 0: // never arrives
			err = &client.Error{Code: client.CodeNetwork}
		case 1: // arrives, and the answer gets lost
			log.append(raw)
			err = &client.Error{Code: client.CodeNetwork}
		case 2: // arrives later
			late = append(late, raw)
			err = &client.Error{Code: client.CodeNetwork}
		case 3: // the leader moved
			err = &client.Error{Code: 6}
		default:
			if code := log.append(raw); code != 0 && code != 46 {
				err = &client.Error{Code: code}
			}
		}
		if v := s.answer(err); v == refused {
			return fmt.Errorf("refused: %w", err)
		}
	}
	return checkOrder(log.values, next, forgets)
}

// checkOrder checks that all is there and in order; repeats are allowed where the
// broker has forgotten what it had.
func checkOrder(values []int, total int, repeats bool) error {
	want := 0
	for _, v := range values {
		switch {
		case v == want:
			want++
		case v > want:
			return fmt.Errorf("%d comes before %d: %v", v, want, values)
		case !repeats:
			return fmt.Errorf("%d comes again: %v", v, values)
		}
	}
	if want != total {
		return fmt.Errorf("%d of %d are there: %v", want, total, values)
	}
	return nil
}

func TestStream_simulated(t *testing.T) {
	seeds := uint64(3000)
	if testing.Short() {
		seeds = 500
	}
	for seed := range seeds {
		require.NoError(t, simStream(seed, false), "seed %d", seed)
		require.NoError(t, simStream(seed, true), "seed %d, with a broker that forgets", seed)
	}
}

func TestJudge(t *testing.T) {
	for _, tc := range []struct {
		story string
		err   error
		want  verdict
	}{
		{"written", nil, acked},
		{"another broker leads", &client.Error{Code: 6}, again},
		{"no answer", &client.Error{Code: client.CodeNetwork}, again},
		{"written, but by too few replicas", &client.Error{Code: 20}, again},
		{"the topic is not known yet", &client.Error{Code: 3}, again},
		{"a batch before is missing", &client.Error{Code: 45}, renewed},
		{"the producer is forgotten", &client.Error{Code: 59}, renewed},
		{"the transaction was aborted", &client.Error{Code: 47}, renewed},
		{"no such transaction", &client.Error{Code: 48}, renewed},
		{"too large", &client.Error{Code: 10}, refused},
		{"no right", &client.Error{Code: 29}, refused},
		{"closed", client.ErrClosed, refused},
	} {
		require.Equal(t, tc.want, judge(tc.err), tc.story)
	}
}
