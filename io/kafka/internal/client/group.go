package client

import (
	"context"
	"slices"
)

// A GroupOffset is what a group has committed for a partition: the next offset to
// read, the leader epoch of the record before (-1 if not known), and a note.
type GroupOffset struct {
	Offset   int64
	Epoch    int32
	Metadata string
}

// GroupOffsets asks for what a group has committed. Parts for which it has nothing
// are missing from the map. It waits for transactions that are about to commit
// offsets of these partitions.
func (c *Client) GroupOffsets(ctx context.Context, group string, parts []TopicPartition) (map[TopicPartition]GroupOffset, error) {
	parts = slices.Clone(parts)
	slices.SortFunc(parts, TopicPartition.compare)
	parts = slices.Compact(parts)
	var all map[TopicPartition]GroupOffset
	err := c.coordinate(ctx, ofGroup(group), func(ctx context.Context, b *broker) error {
		return simple(ctx, b, apiOffsetFetch, func(w *writer, _ int16) { writeOffsetFetch(w, group, parts) },
			func(r *reader) (ms int32, err error) {
				all, ms, err = parseOffsetFetch(r, parts)
				return ms, err
			})
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

func writeOffsetFetch(w *writer, group string, parts []TopicPartition) {
	w.string(group)
	byTopic(w, parts, func(tp TopicPartition) { w.int32(tp.Partition) })
	w.bool(true) // no offsets that a transaction may change
	w.tags()
}

func parseOffsetFetch(r *reader, parts []TopicPartition) (map[TopicPartition]GroupOffset, int32, error) {
	ms := r.int32()
	all := map[TopicPartition]GroupOffset{}
	errs := unheard(apiOffsetFetch, parts)
	for n := r.array(6); n > 0 && r.err == nil; n-- {
		topic := r.string()
		for n := r.array(19); n > 0 && r.err == nil; n-- {
			tp := TopicPartition{topic, r.int32()}
			o := GroupOffset{Offset: r.int64(), Epoch: r.int32(), Metadata: r.string()}
			errs[tp] = refused(apiOffsetFetch, r.int16(), topic, tp.Partition)
			r.tags()
			if o.Offset >= 0 {
				all[tp] = o
			}
		}
		r.tags()
	}
	code := r.int16()
	r.tags()
	if code == 69 { // there is no such group: nothing is committed
		return all, ms, nil
	}
	if code != 0 {
		return nil, ms, refused(apiOffsetFetch, code, "", -1)
	}
	return all, ms, worst(parts, errs)
}

// CommitGroup commits offsets for a group that has no members of its own, as one
// that is only looked at from outside. With members it is an *Error of
// UNKNOWN_MEMBER_ID.
func (c *Client) CommitGroup(ctx context.Context, group string, offsets map[TopicPartition]GroupOffset) error {
	if len(offsets) == 0 {
		return nil
	}
	return c.coordinate(ctx, ofGroup(group), func(ctx context.Context, b *broker) error {
		return commitOffsets(ctx, b, Member{Group: group, Generation: -1}, offsets)
	})
}

func commitOffsets(ctx context.Context, b *broker, m Member, offsets map[TopicPartition]GroupOffset) error {
	parts := sorted(offsets)
	return simple(ctx, b, apiOffsetCommit, func(w *writer, _ int16) {
		writeMember(w, m)
		writeGroupOffsets(w, parts, offsets)
		w.tags()
	}, parseCodes(apiOffsetCommit, parts))
}

func sorted(offsets map[TopicPartition]GroupOffset) []TopicPartition {
	parts := make([]TopicPartition, 0, len(offsets))
	for tp := range offsets {
		parts = append(parts, tp)
	}
	slices.SortFunc(parts, TopicPartition.compare)
	return parts
}

func writeGroupOffsets(w *writer, parts []TopicPartition, offsets map[TopicPartition]GroupOffset) {
	byTopic(w, parts, func(tp TopicPartition) {
		o := offsets[tp]
		w.int32(tp.Partition)
		w.int64(o.Offset)
		w.int32(o.Epoch)
		w.string(o.Metadata)
		w.tags()
	})
}
