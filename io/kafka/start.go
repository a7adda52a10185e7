package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/io/kafka/internal/client"
)

// Place says where in each partition reading begins or ends: see [Start] and [Stop].
// The zero Place is none.
type Place struct {
	kind      placeKind
	time      time.Time
	offsets   map[TopicPartition]int64
	otherwise *Place
}

type placeKind uint8

const (
	nowhere placeKind = iota
	earliest
	latest
	atTime
	atOffsets
	byGroup
)

// TopicPartition names a partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Earliest is the first record that is still there.
func Earliest() Place { return Place{kind: earliest} }

// Latest is behind the last record, or before the first one of a transaction that is
// open, if there is one.
func Latest() Place { return Place{kind: latest} }

// AtTime is the first record whose time is t, to the millisecond, or later. If there
// is none it is [Latest].
func AtTime(t time.Time) Place { return Place{kind: atTime, time: t} }

// AtOffsets is an offset for each partition; for those that are not named it is
// otherwise.
func AtOffsets(offsets map[TopicPartition]int64, otherwise Place) Place {
	return Place{kind: atOffsets, offsets: offsets, otherwise: &otherwise}
}

// Committed is what the group has committed (see [Group]); for partitions of which it
// has committed nothing it is otherwise.
func Committed(otherwise Place) Place { return Place{kind: byGroup, otherwise: &otherwise} }

// parsePlace reads a place of a URL: earliest, latest, a time as 2026-01-02T15:04:05Z,
// group, or group,latest.
func parsePlace(text string) (Place, error) {
	switch text {
	case "earliest":
		return Earliest(), nil
	case "latest":
		return Latest(), nil
	case "group", "group,earliest":
		return Committed(Earliest()), nil
	case "group,latest":
		return Committed(Latest()), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return Place{}, errors.New("want earliest, latest, a time as 2026-01-02T15:04:05Z, group, or group,latest")
	}
	return AtTime(t), nil
}

// check says what is wrong with a place; allowed are the kinds that it and those
// behind it may be.
func (p Place) check(allowed ...placeKind) error {
	ok := false
	for _, k := range allowed {
		ok = ok || k == p.kind
	}
	switch {
	case p.kind == nowhere:
		return errors.New("a place is missing: want kafka.Earliest(), kafka.Latest() or another one")
	case !ok:
		return fmt.Errorf("%s is no place for this", p)
	case p.otherwise == nil:
		return nil
	}
	for tp, offset := range p.offsets {
		if offset < 0 {
			return fmt.Errorf("%s/%d: offset %d: want 0 or more", tp.Topic, tp.Partition, offset)
		}
	}
	return p.otherwise.check(allowed...)
}

// needs reports whether p or one behind it is of a kind.
func (p Place) needs(k placeKind) bool {
	return p.kind == k || p.otherwise != nil && p.otherwise.needs(k)
}

// String is the place in words.
func (p Place) String() string {
	switch p.kind {
	case nowhere:
		return "nowhere"
	case earliest:
		return "the earliest"
	case latest:
		return "the latest"
	case atTime:
		return "the time " + p.time.UTC().Format(time.RFC3339Nano)
	case atOffsets:
		return "given offsets, otherwise " + p.otherwise.String()
	}
	return "what the group has committed, otherwise " + p.otherwise.String()
}

// locator asks brokers for offsets: a client.
type locator interface {
	Offsets(ctx context.Context, parts []client.TopicPartition, at client.OffsetAt) (map[client.TopicPartition]client.OffsetEpoch, error)
	GroupOffsets(ctx context.Context, group string, parts []client.TopicPartition) (map[client.TopicPartition]client.GroupOffset, error)
}

// find asks where p is in each of parts. Uncommitted records count if open is set.
func (p Place) find(ctx context.Context, c locator, group string, open bool, parts []client.TopicPartition) (map[client.TopicPartition]spot, error) {
	found := map[client.TopicPartition]spot{}
	switch p.kind {
	case earliest:
		return found, askOffsets(ctx, c, parts, client.Earliest(), found)
	case latest:
		at := client.Latest()
		at.Committed = !open
		return found, askOffsets(ctx, c, parts, at, found)
	case atTime:
		if err := askOffsets(ctx, c, parts, client.AtTime(p.time.UnixMilli()), found); err != nil {
			return nil, err
		}
		return found, Latest().fill(ctx, c, group, open, parts, found)
	case atOffsets:
		for _, tp := range parts {
			if o, ok := p.offsets[TopicPartition(tp)]; ok {
				found[tp] = spot{o, -1, -1}
			}
		}
	case byGroup:
		offsets, err := c.GroupOffsets(ctx, group, parts)
		if err != nil {
			return nil, fmt.Errorf("look up what group %s has committed: %w", group, err)
		}
		for tp, o := range offsets {
			found[tp] = spot{o.Offset, o.Epoch, -1}
		}
	}
	return found, p.otherwise.fill(ctx, c, group, open, parts, found)
}

// fill finds those of parts that found does not have yet.
func (p Place) fill(ctx context.Context, c locator, group string, open bool, parts []client.TopicPartition, found map[client.TopicPartition]spot) error {
	var missing []client.TopicPartition
	for _, tp := range parts {
		if _, ok := found[tp]; !ok {
			missing = append(missing, tp)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	more, err := p.find(ctx, c, group, open, missing)
	for tp, at := range more {
		found[tp] = at
	}
	return err
}

func askOffsets(ctx context.Context, c locator, parts []client.TopicPartition, at client.OffsetAt, found map[client.TopicPartition]spot) error {
	offsets, err := c.Offsets(ctx, parts, at)
	if err != nil {
		return fmt.Errorf("look up offsets: %w", err)
	}
	for tp, o := range offsets {
		if o.Offset >= 0 {
			found[tp] = spot{o.Offset, -1, -1}
		}
	}
	return nil
}
