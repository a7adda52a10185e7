package kafka

import "time"

// Record is a record of a topic, as formats see it.
type Record struct {
	Topic      string
	Partition  int32
	Offset     int64
	Time       time.Time // of its creation, or of its appending to the log, as the topic is configured; to the millisecond
	Key, Value []byte    // nil: there is none; a nil Value is a tombstone
	Headers    []Header
}

// Header is a header of a record; keys may come more than once.
type Header struct {
	Key   string
	Value []byte
}

// Format makes values of records, and records of values.
type Format[T any] struct {
	// Name is for people and for errors: "json".
	Name string
	// Decode makes the value of a record that was read. The record and all memory
	// behind it are used again when Decode has returned, unless Keeps is set; the
	// record itself is used again in any case. Decode is called on several
	// goroutines at once. An error is a bad record's, unless it is an [Outage].
	Decode func(*Record) (T, error)
	// Encode fills in what is to be written: Value, and Key, Headers, Time and Topic
	// where they are not what the sink's options say; Topic is the sink's when it is
	// called. Key, Value and Headers are then empty, and may have room to append to,
	// or else be set to memory of the value's, which nobody changes. Nothing appended
	// is nil. Encode is called on several goroutines at once.
	Encode func(T, *Record) error
	// Keeps says that values go on using the memory of Key, Value and Headers: what
	// comes from the broker then belongs to the values, and costs an allocation for
	// each fetch rather than none.
	Keeps bool
	// Err is why the format can't be used. Read and Write report it while the
	// pipeline is built.
	Err error
}

// Outage is an error of what a format depends on, and not of the record: a schema
// registry does not answer. It stops the run even where bad records are set aside.
type Outage struct{ Err error }

func (o *Outage) Error() string { return o.Err.Error() }

func (o *Outage) Unwrap() error { return o.Err }
