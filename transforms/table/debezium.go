package table

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace/millrace/pipeline"
)

// Envelope is a change as Debezium writes it, with rows of type V: plain data.
type Envelope[V any] struct {
	Op     string // "c": created, "r": read by a snapshot, "u": updated, "d": deleted
	Before *V     // the row before; nil if there was none or the database does not tell
	After  *V     // the row after; nil if it was deleted
	Source EnvelopeSource
	TsMs   int64 // when Debezium handled it, in Unix milliseconds
}

// EnvelopeSource says where in the database's log a change stands. Fields that the
// database does not have are zero.
type EnvelopeSource struct {
	TsMs  int64  // when the database made the change, in Unix milliseconds
	Table string // its name
	LSN   int64  // PostgreSQL: the position in the log
	File  string // MySQL: the file of the log, "mysql-bin.000003"
	Pos   int64  // MySQL: the position in it
}

// Row is the row after the change or, if it was deleted, before it: that is where to
// take the key from.
func (e Envelope[V]) Row() (v V) {
	switch {
	case e.After != nil:
		return *e.After
	case e.Before != nil:
		return *e.Before
	}
	return v
}

// Position is the change's place in the log of a PostgreSQL or MySQL server, greater
// for later ones; of other databases it is the time of the change. Use it for
// [Version], if the order within a key may have been lost on the way: a topic's
// partition keeps it.
func (e Envelope[V]) Position() int64 {
	s := e.Source
	switch {
	case s.LSN != 0:
		return s.LSN
	case s.File != "":
		n, _ := strconv.ParseInt(s.File[strings.LastIndexByte(s.File, '.')+1:], 10, 32)
		return n<<32 | s.Pos&(1<<32-1)
	}
	return s.TsMs
}

// ParseDebezium reads one message, with or without a schema around it. Names of
// columns are matched with V's fields as by encoding/json. An empty message or a JSON
// null is the tombstone that follows a deletion: it gives an Envelope without an Op.
func ParseDebezium[V any](message []byte) (e Envelope[V], err error) {
	if empty(message) {
		return e, nil
	}
	var wrap struct {
		Payload json.RawMessage `json:"payload"`
	}
	if err := json.Unmarshal(message, &wrap); err != nil {
		return e, fmt.Errorf("read a Debezium message: %w", err)
	}
	if wrap.Payload != nil {
		if message = wrap.Payload; empty(message) {
			return e, nil
		}
	}
	var in struct {
		Op     string `json:"op"`
		Before *V     `json:"before"`
		After  *V     `json:"after"`
		TsMs   int64  `json:"ts_ms"`
		Source struct {
			TsMs  int64  `json:"ts_ms"`
			Table string `json:"table"`
			LSN   int64  `json:"lsn"`
			File  string `json:"file"`
			Pos   int64  `json:"pos"`
		} `json:"source"`
	}
	if err := json.Unmarshal(message, &in); err != nil {
		return e, fmt.Errorf("read the payload of a Debezium message: %w", err)
	}
	e = Envelope[V]{Op: in.Op, Before: in.Before, After: in.After, TsMs: in.TsMs, Source: EnvelopeSource(in.Source)}
	switch e.Op {
	case "c", "r", "u":
		if e.After == nil {
			return e, fmt.Errorf("a Debezium message of op %q has no row in \"after\"", e.Op)
		}
	case "d":
		if e.Before == nil {
			return e, fmt.Errorf("a Debezium message of op \"d\" has no row in \"before\": the key would have to come from the message's key")
		}
		e.After = nil
	case "m": // a message that someone wrote into the log: about no row
	default:
		return e, fmt.Errorf("a Debezium message has op %q: want c, r, u or d (a truncation, t, is of no one row)", e.Op)
	}
	return e, nil
}

func empty(message []byte) bool {
	m := bytes.TrimSpace(message)
	return len(m) == 0 || string(m) == "null"
}

// Debezium reads messages as [ParseDebezium] does, and leaves out those that are
// about no row: tombstones and messages someone wrote into the log. Key what it gives
// by [Envelope.Row], and make a table of it with [FromEnvelopes]. What is no message
// fails its element.
func Debezium[V any](c pipeline.PCollection[[]byte], opts ...pipeline.Option) pipeline.PCollection[Envelope[V]] {
	parsed := pipeline.TryMap(c, func(_ context.Context, message []byte) (Envelope[V], error) {
		return ParseDebezium[V](message)
	}, opts...)
	return parsed.Filter(func(e Envelope[V]) bool { return e.Op != "" && e.Op != "m" })
}

// FromEnvelopes is [FromChanges] of a Debezium feed.
func FromEnvelopes[K comparable, V any](c pipeline.Keyed[K, Envelope[V]], name string, opts ...Option) Table[K, V] {
	return From(c, name, func(e Envelope[V]) (v V, live bool) {
		if e.After != nil {
			return *e.After, true
		}
		return v, false
	}, opts...)
}
