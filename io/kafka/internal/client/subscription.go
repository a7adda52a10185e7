package client

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// A Subscription is what a member tells the leader when it joins. Source: Apache
// Kafka's ConsumerProtocolSubscription.json, versions 0 to 3.
type Subscription struct {
	Topics     []string
	Owned      []TopicPartition // what it reads, and has not given up; from version 1 on
	Generation int32            // in which it got them; -1: not known
}

const subscriptionVersion = 3

// Append appends s as members of all clients write it. The user data are the generation
// again, where Java's clients before version 3.4 look for it.
func (s Subscription) Append(b []byte) []byte {
	w := writer{b: b}
	w.int16(subscriptionVersion)
	w.array(len(s.Topics))
	for _, t := range s.Topics {
		w.string(t)
	}
	w.bytes(binary.BigEndian.AppendUint32(nil, uint32(s.Generation)))
	writeParts(&w, s.Owned)
	w.int32(s.Generation)
	w.nullable("") // no rack
	return w.b
}

// ParseSubscription reads what any client's member has sent, of any version: what is
// behind the fields that are known is not looked at.
func ParseSubscription(b []byte) (Subscription, error) {
	r := reader{b: b}
	s := Subscription{Generation: -1}
	version := r.int16()
	for n := r.array(2); n > 0 && r.err == nil; n-- {
		s.Topics = append(s.Topics, r.string())
	}
	r.bytes()
	if version >= 1 {
		s.Owned = readParts(&r)
	}
	if version >= 2 {
		s.Generation = r.int32()
	}
	if r.err != nil {
		return s, fmt.Errorf("the subscription of a member: %w", r.err)
	}
	return s, nil
}

// AppendAssignment appends what a member is assigned, as ConsumerProtocolAssignment.json
// has it, version 0.
func AppendAssignment(b []byte, parts []TopicPartition) []byte {
	w := writer{b: b}
	w.int16(0)
	writeParts(&w, parts)
	w.bytes(nil)
	return w.b
}

// ParseAssignment reads what AppendAssignment, or another client, has written. No bytes
// are no partitions.
func ParseAssignment(b []byte) ([]TopicPartition, error) {
	if len(b) == 0 {
		return nil, nil
	}
	r := reader{b: b}
	r.int16()
	parts := readParts(&r)
	if r.err != nil {
		return nil, fmt.Errorf("what the group's leader has assigned: %w", r.err)
	}
	return parts, nil
}

func writeParts(w *writer, parts []TopicPartition) {
	parts = slices.Clone(parts)
	slices.SortFunc(parts, TopicPartition.compare)
	byTopic(w, slices.Compact(parts), func(tp TopicPartition) { w.int32(tp.Partition) })
}

func readParts(r *reader) (parts []TopicPartition) {
	for n := r.array(6); n > 0 && r.err == nil; n-- {
		topic := r.string()
		for n := r.array(4); n > 0 && r.err == nil; n-- {
			parts = append(parts, TopicPartition{topic, r.int32()})
		}
	}
	return parts
}
