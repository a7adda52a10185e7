package kafkatest

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A Record is what is in a partition. A nil Key or Value is null.
type Record struct {
	Partition  int32
	Offset     int64 // of those that were read or produced
	Key, Value []byte
	Headers    []Header
	Timestamp  time.Time // in UTC, of whole milliseconds. To produce: zero is now
}

// A Header is a header of a record. A nil Value is null.
type Header struct {
	Key   string
	Value []byte
}

// Values are the records' values.
func Values(records []Record) []string {
	values := make([]string, len(records))
	for i, r := range records {
		values[i] = string(r.Value)
	}
	return values
}

// Strings makes records of values for one partition.
func Strings(partition int32, values ...string) []Record {
	records := make([]Record, len(values))
	for i, v := range values {
		records[i] = Record{Partition: partition, Value: []byte(v)}
	}
	return records
}

func fromKgo(r *kgo.Record) Record {
	out := Record{Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value, Timestamp: r.Timestamp.UTC()}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, Header(h))
	}
	return out
}

func (r *Record) toKgo(topic string) *kgo.Record {
	out := &kgo.Record{Topic: topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Timestamp: r.Timestamp}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, kgo.RecordHeader(h))
	}
	return out
}
