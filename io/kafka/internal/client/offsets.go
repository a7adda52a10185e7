package client

import (
	"context"
	"errors"
	"sync"
)

// errMissing: an answer does not name something that was asked for.
var errMissing = errors.New("the answer has nothing about it")

// OffsetAt is which offset of a partition is asked for.
type OffsetAt struct {
	kind      int64
	Committed bool // Latest is then the end of what is committed: before the oldest open transaction
}

// Earliest is the first offset that is still there.
func Earliest() OffsetAt { return OffsetAt{kind: -2} }

// Latest is the offset that the next record will get.
func Latest() OffsetAt { return OffsetAt{kind: -1} }

// AtTime is that of the first record whose time is ms or later, in Unix
// milliseconds that are not negative; if there is none, the offset is -1.
func AtTime(ms int64) OffsetAt { return OffsetAt{kind: max(ms, 0)} }

// OffsetEpoch is an offset and the leader epoch of the record there, -1 if the
// broker doesn't say.
type OffsetEpoch struct {
	Offset, Timestamp int64 // Timestamp of AtTime only, else -1
	Epoch             int32
}

// EpochEnd says that the records of Epoch end before Offset.
type EpochEnd struct {
	Epoch  int32 // the newest that is not newer than the one asked for; -1 if there is none
	Offset int64 // -1 if not known
}

// Offsets asks the leaders of all parts where at is.
func (c *Client) Offsets(ctx context.Context, parts []TopicPartition, at OffsetAt) (map[TopicPartition]OffsetEpoch, error) {
	all := map[TopicPartition]OffsetEpoch{}
	var mu sync.Mutex
	err := c.byLeader(ctx, apiListOffsets, parts, func(ctx context.Context, b *broker, parts []TopicPartition) (map[TopicPartition]error, error) {
		r, _, err := b.call(ctx, apiListOffsets, func(w *writer, _ int16) { c.writeOffsets(w, parts, at) })
		if err != nil {
			return nil, err
		}
		got, errs := map[TopicPartition]OffsetEpoch{}, unheard(apiListOffsets, parts)
		ms := parseOffsets(&r, got, errs)
		if r.err != nil {
			return nil, b.lost(apiListOffsets, r.err, false)
		}
		b.throttle(apiListOffsets, ms)
		mu.Lock()
		defer mu.Unlock()
		for tp, o := range got {
			all[tp] = o
		}
		return errs, nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// unheard is the errors of an answer that names none of parts.
func unheard(a api, parts []TopicPartition) map[TopicPartition]error {
	errs := map[TopicPartition]error{}
	for _, tp := range parts {
		errs[tp] = &Error{Code: CodeNetwork, Op: a.name, Topic: tp.Topic, Partition: tp.Partition, Err: errMissing}
	}
	return errs
}

// byTopic calls topic and part so that parts, sorted, are written topic by topic.
func byTopic(w *writer, parts []TopicPartition, part func(TopicPartition)) {
	n := 0
	for i := range parts {
		if i == 0 || parts[i].Topic != parts[i-1].Topic {
			n++
		}
	}
	w.array(n)
	for i := 0; i < len(parts); {
		n := i
		for n < len(parts) && parts[n].Topic == parts[i].Topic {
			n++
		}
		w.string(parts[i].Topic)
		w.array(n - i)
		for ; i < n; i++ {
			part(parts[i])
		}
		w.tags()
	}
}

func (c *Client) writeOffsets(w *writer, parts []TopicPartition, at OffsetAt) {
	w.int32(-1) // a consumer
	w.bool(at.Committed)
	byTopic(w, parts, func(tp TopicPartition) {
		w.int32(tp.Partition)
		w.int32(c.epoch(tp))
		w.int64(at.kind)
		w.tags()
	})
	w.tags()
}

// parseOffsets fills got, and replaces in errs what the answer has.
func parseOffsets(r *reader, got map[TopicPartition]OffsetEpoch, errs map[TopicPartition]error) (throttleMs int32) {
	throttleMs = r.int32()
	for n := r.array(6); n > 0 && r.err == nil; n-- {
		topic := r.string()
		for n := r.array(26); n > 0 && r.err == nil; n-- {
			tp := TopicPartition{topic, r.int32()}
			code := r.int16()
			o := OffsetEpoch{Timestamp: r.int64(), Offset: r.int64(), Epoch: r.int32()}
			r.tags()
			if errs[tp] = refused(apiListOffsets, code, topic, tp.Partition); code == 0 {
				got[tp] = o
			}
		}
		r.tags()
	}
	r.tags()
	return throttleMs
}

// EpochEnds asks the leaders where the records of a leader epoch end: one who read
// beyond that in this epoch has read what was cut off since.
func (c *Client) EpochEnds(ctx context.Context, epochs map[TopicPartition]int32) (map[TopicPartition]EpochEnd, error) {
	parts := make([]TopicPartition, 0, len(epochs))
	for tp := range epochs {
		parts = append(parts, tp)
	}
	all := map[TopicPartition]EpochEnd{}
	var mu sync.Mutex
	err := c.byLeader(ctx, apiEpochEnds, parts, func(ctx context.Context, b *broker, parts []TopicPartition) (map[TopicPartition]error, error) {
		r, _, err := b.call(ctx, apiEpochEnds, func(w *writer, _ int16) { c.writeEpochEnds(w, parts, epochs) })
		if err != nil {
			return nil, err
		}
		got, errs := map[TopicPartition]EpochEnd{}, unheard(apiEpochEnds, parts)
		ms := parseEpochEnds(&r, got, errs)
		if r.err != nil {
			return nil, b.lost(apiEpochEnds, r.err, false)
		}
		b.throttle(apiEpochEnds, ms)
		mu.Lock()
		defer mu.Unlock()
		for tp, e := range got {
			all[tp] = e
		}
		return errs, nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

func (c *Client) writeEpochEnds(w *writer, parts []TopicPartition, epochs map[TopicPartition]int32) {
	w.int32(-1)
	byTopic(w, parts, func(tp TopicPartition) {
		w.int32(tp.Partition)
		w.int32(c.epoch(tp))
		w.int32(epochs[tp])
		w.tags()
	})
	w.tags()
}

func parseEpochEnds(r *reader, got map[TopicPartition]EpochEnd, errs map[TopicPartition]error) (throttleMs int32) {
	throttleMs = r.int32()
	for n := r.array(6); n > 0 && r.err == nil; n-- {
		topic := r.string()
		for n := r.array(18); n > 0 && r.err == nil; n-- {
			code := r.int16()
			tp := TopicPartition{topic, r.int32()}
			e := EpochEnd{Epoch: r.int32(), Offset: r.int64()}
			r.tags()
			if errs[tp] = refused(apiEpochEnds, code, topic, tp.Partition); code == 0 {
				got[tp] = e
			}
		}
		r.tags()
	}
	r.tags()
	return throttleMs
}
