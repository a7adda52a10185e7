package kafka

import (
	"errors"
	"strings"
	"time"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/pipeline"
)

// BadRecord is a record that a format could not decode.
type BadRecord struct {
	Record         // copied
	Cluster string // the brokers that it was read from
	Error   string
	At      time.Time // when it was read
}

// ReadWithBad is [Read] for input that is not always good: records that the format
// can't decode are set aside in a collection of their own. An [Outage] fails the run.
func ReadWithBad[T any](p *pipeline.Pipeline, url string, f Format[T], opts ...ReadOption) (pipeline.PCollection[T], pipeline.PCollection[BadRecord]) {
	registerRecords()
	registerAttempt[T]()
	tried := read(p, "kafka.ReadWithBad", url, attempts(f, url), opts)
	return pipeline.ParDo2(tried, func(_ *pipeline.DoFn, good pipeline.Emit[T], bad pipeline.Emit[BadRecord]) func(pipeline.Elem, attempt[T]) error {
		return func(_ pipeline.Elem, a attempt[T]) error {
			if a.Bad != nil {
				bad(*a.Bad)
			} else {
				good(a.Value)
			}
			return nil
		}
	})
}

// attempt is what came of a record: a value, or else a bad record.
type attempt[T any] struct {
	Value T
	Bad   *BadRecord
}

// attempts is a format that does not fail. The URL is parsed once more by those who
// report what is wrong with it.
func attempts[T any](f Format[T], url string) Format[attempt[T]] {
	cluster := ""
	if a, err := parseURL(url, append(readParams, connectParams...)...); err == nil {
		cluster = strings.Join(a.Brokers, ",")
	}
	out := Format[attempt[T]]{Name: f.Name, Keeps: f.Keeps, Err: f.Err}
	if f.Decode == nil {
		return out
	}
	out.Decode = func(r *Record) (attempt[T], error) {
		v, err := f.Decode(r)
		if err == nil {
			return attempt[T]{Value: v}, nil
		}
		if o, ok := errors.AsType[*Outage](err); ok {
			return attempt[T]{}, o
		}
		return attempt[T]{Bad: &BadRecord{Record: r.clone(), Cluster: cluster, Error: err.Error(), At: time.Now().UTC()}}, nil
	}
	return out
}

// recordRow is a Record as its coder writes it: inferred ones don't tell a key or a
// value that is empty from one that there is not.
type recordRow struct {
	Topic      string
	Partition  int32
	Offset     int64
	Time       time.Time
	Key, Value *[]byte
	Headers    []headerRow
}

type headerRow struct {
	Key   string
	Value *[]byte
}

type badRow struct {
	Record         recordRow
	Cluster, Error string
	At             time.Time
}

func nullable(b []byte) *[]byte {
	if b == nil {
		return nil
	}
	return &b
}

func bytesOf(p *[]byte) []byte {
	switch {
	case p == nil:
		return nil
	case *p == nil: // coders have one form for nil and empty
		return []byte{}
	}
	return *p
}

func rowOf(r Record) recordRow {
	row := recordRow{r.Topic, r.Partition, r.Offset, r.Time, nullable(r.Key), nullable(r.Value), nil}
	for _, h := range r.Headers {
		row.Headers = append(row.Headers, headerRow{h.Key, nullable(h.Value)})
	}
	return row
}

func (row recordRow) record() Record {
	r := Record{row.Topic, row.Partition, row.Offset, row.Time, bytesOf(row.Key), bytesOf(row.Value), nil}
	for _, h := range row.Headers {
		r.Headers = append(r.Headers, Header{h.Key, bytesOf(h.Value)})
	}
	return r
}

// registerRecords registers the coders of Record and BadRecord.
func registerRecords() {
	registerRow("millrace:coder:kafka_record:v1", rowOf, recordRow.record)
	registerRow("millrace:coder:kafka_bad_record:v1",
		func(b BadRecord) badRow { return badRow{rowOf(b.Record), b.Cluster, b.Error, b.At} },
		func(row badRow) BadRecord { return BadRecord{row.Record.record(), row.Cluster, row.Error, row.At} })
}

// registerRow registers the coder of T that writes rows.
func registerRow[T, R any](id string, row func(T) R, value func(R) T) {
	c, err := coder.For[R]()
	if err != nil {
		panic("BUG: kafka: " + err.Error())
	}
	coder.Register(coder.Coder[T]{
		ID:     id,
		Append: func(dst []byte, v T) []byte { return c.Append(dst, row(v)) },
		Decode: func(src []byte) (v T, rest []byte, err error) {
			r, rest, err := c.Decode(src)
			if err != nil {
				return v, nil, err
			}
			return value(r), rest, nil
		},
	})
}

var errAttempt = errors.New("kafka: want a tag of 0 or 1 and a value")

// registerAttempt gives attempts a coder that writes a tag and what is there. A value
// without a coder is reported by whoever asks for the attempt's next.
func registerAttempt[T any]() {
	good, err1 := coder.For[T]()
	bad, err2 := coder.For[BadRecord]()
	if err1 != nil || err2 != nil {
		return
	}
	coder.Register(coder.Coder[attempt[T]]{
		ID: "millrace:coder:kafka_attempt:v1<" + good.ID + ">",
		Append: func(dst []byte, a attempt[T]) []byte {
			if a.Bad != nil {
				return bad.Append(append(dst, 1), *a.Bad)
			}
			return good.Append(append(dst, 0), a.Value)
		},
		Decode: func(src []byte) (a attempt[T], rest []byte, err error) {
			switch {
			case len(src) > 0 && src[0] == 0:
				a.Value, rest, err = good.Decode(src[1:])
			case len(src) > 0 && src[0] == 1:
				a.Bad = new(BadRecord)
				*a.Bad, rest, err = bad.Decode(src[1:])
			default:
				err = errAttempt
			}
			return a, rest, err
		},
	})
}
