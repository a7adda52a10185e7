package client

import (
	"context"
	"errors"
	"fmt"
)

// An api is a kind of request: its key, the versions that we write and parse, and
// the first that has compact lengths and tagged fields.
type api struct {
	key      int16
	name     string
	min, max int16
	flex     int16
	class    class
}

// A class is requests that a broker throttles together.
type class int

const (
	control class = iota
	fetches
	produces
	classes
)

var (
	// From version 12 on a broker requires the implied adding of partitions of
	// KIP-890; 13 names topics by id.
	apiProduce = api{key: 0, name: "produce", min: 7, max: 11, flex: 9, class: produces}
	// Version 13 names topics by id.
	apiFetch           = api{key: 1, name: "fetch", min: 11, max: 12, flex: 12, class: fetches}
	apiListOffsets     = api{key: 2, name: "list offsets", min: 4, max: 7, flex: 6}
	apiMetadata        = api{key: 3, name: "ask for metadata", min: 7, max: 12, flex: 9}
	apiOffsetCommit    = api{key: 8, name: "commit offsets", min: 7, max: 8, flex: 8}
	apiOffsetFetch     = api{key: 9, name: "fetch committed offsets", min: 7, max: 7, flex: 6}
	apiFindCoordinator = api{key: 10, name: "find the coordinator", min: 2, max: 3, flex: 3}
	// From version 7 on answers name the protocol's type, which is of no use here.
	apiJoinGroup        = api{key: 11, name: "join the group", min: 5, max: 6, flex: 6}
	apiHeartbeat        = api{key: 12, name: "send a heartbeat", min: 3, max: 4, flex: 4}
	apiLeaveGroup       = api{key: 13, name: "leave the group", min: 3, max: 4, flex: 4}
	apiSyncGroup        = api{key: 14, name: "get the group's assignment", min: 3, max: 4, flex: 4}
	apiVersions         = api{key: 18, name: "ask for versions", min: 0, max: 0, flex: 3}
	apiCreateTopics     = api{key: 19, name: "create topic", min: 4, max: 6, flex: 5}
	apiInitProducer     = api{key: 22, name: "get a producer id", min: 0, max: 4, flex: 2}
	apiEpochEnds        = api{key: 23, name: "ask for the ends of leader epochs", min: 3, max: 4, flex: 4}
	apiAddPartitions    = api{key: 24, name: "add partitions to the transaction", min: 0, max: 3, flex: 3}
	apiAddOffsets       = api{key: 25, name: "add offsets to the transaction", min: 0, max: 3, flex: 3}
	apiEndTxn           = api{key: 26, name: "end the transaction", min: 0, max: 3, flex: 3}
	apiTxnOffsetCommit  = api{key: 28, name: "commit offsets in the transaction", min: 3, max: 3, flex: 3}
	apiCreatePartitions = api{key: 37, name: "create partitions", min: 1, max: 2, flex: 2}
)

// versions is what a broker has: the range of each api key.
type versions map[int16]struct{ min, max int16 }

// pick returns the newest version of a that both have.
func (v versions) pick(a api) (int16, error) {
	b, ok := v[a.key]
	if !ok {
		return 0, fmt.Errorf("the broker can't %s (api %d is missing)", a.name, a.key)
	}
	n := min(a.max, b.max)
	if n < a.min || n < b.min {
		return 0, fmt.Errorf("the broker has versions %d to %d of api %d and this client %d to %d: a Kafka from 2.5 on is needed", b.min, b.max, a.key, a.min, a.max)
	}
	return n, nil
}

// version returns the version of a to use with b.
func (b *broker) version(ctx context.Context, a api) (int16, error) {
	have, err := b.versions(ctx)
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok && e.Op == apiVersions.name {
			e.Op, e.unknown = a.name, false // a was not sent yet
		}
		return 0, err
	}
	v, err := have.pick(a)
	if err != nil {
		return 0, &Error{Code: 35, Op: a.name, Partition: -1, Broker: b.addr, Err: err}
	}
	return v, nil
}

// versions returns what b has, which it is asked for again when a connection was
// lost: it may be another release then.
func (b *broker) versions(ctx context.Context) (versions, error) {
	b.mu.Lock()
	have := b.have
	b.mu.Unlock()
	if have != nil {
		return have, nil
	}
	answer, err := b.exchange(ctx, request{api: apiVersions, body: &writer{}})
	if err != nil {
		return nil, err
	}
	have, err = parseVersions(answer)
	if err != nil {
		return nil, b.lost(apiVersions, err, false)
	}
	b.mu.Lock()
	b.have = have
	b.mu.Unlock()
	return have, nil
}

// parseVersions parses an ApiVersions answer, version 0.
func parseVersions(answer []byte) (versions, error) {
	r := reader{b: answer}
	if code := r.int16(); code != 0 {
		return nil, &Error{Code: code, Op: apiVersions.name, Partition: -1}
	}
	have := versions{}
	for n := r.array(6); n > 0; n-- {
		key := r.int16()
		have[key] = struct{ min, max int16 }{r.int16(), r.int16()}
	}
	return have, r.err
}
