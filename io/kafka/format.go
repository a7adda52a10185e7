package kafka

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/millrace/millrace/pipeline"
)

// Bytes has values as they are; nil is a tombstone. It Keeps: what is read lies in the
// memory that came from the broker, and a value that is held for long holds all of what
// came with it. Clone the few of many that are.
func Bytes() Format[[]byte] {
	return Format[[]byte]{
		Name:   "bytes",
		Keeps:  true,
		Decode: func(r *Record) ([]byte, error) { return slices.Clip(r.Value), nil },
		Encode: func(v []byte, r *Record) error {
			r.Value = slices.Clip(v)
			return nil
		},
	}
}

// String has values as text, which is copied. A tombstone, and a key that there is not,
// is read as the empty string; the empty string is written as an empty value.
func String() Format[string] {
	return Format[string]{
		Name:   "string",
		Decode: func(r *Record) (string, error) { return string(r.Value), nil },
		Encode: func(v string, r *Record) error {
			r.Value = appendString(r.Value[:0], v)
			return nil
		},
	}
}

// appendString is never nil: nothing appended would be.
func appendString(b []byte, s string) []byte {
	if s == "" {
		return []byte{}
	}
	return append(b, s...)
}

// Records has the whole record, copied. Written are Key, Value, Headers, Time if it is
// set, and Partition, for a sink by partition; not Topic, so that a record which was
// read from one topic can be written to another.
func Records() Format[Record] {
	registerRecords()
	return Format[Record]{
		Name:   "record",
		Decode: func(r *Record) (Record, error) { return r.clone(), nil },
		Encode: func(v Record, r *Record) error {
			r.Key, r.Value, r.Headers = slices.Clip(v.Key), slices.Clip(v.Value), slices.Clip(v.Headers)
			r.Partition = v.Partition
			if !v.Time.IsZero() {
				r.Time = v.Time
			}
			return nil
		},
	}
}

// clone copies the record into one piece of memory, with two more for headers.
func (r *Record) clone() Record {
	c := *r
	size, names := len(r.Key)+len(r.Value), 0
	for _, h := range r.Headers {
		size += len(h.Value)
		names += len(h.Key)
	}
	buf := make([]byte, 0, size)
	own := func(b []byte) []byte {
		if b == nil {
			return nil
		}
		buf = append(buf, b...)
		return slices.Clip(buf[len(buf)-len(b):])
	}
	c.Key, c.Value = own(r.Key), own(r.Value)
	if len(r.Headers) == 0 {
		c.Headers = nil
		return c
	}
	c.Headers = make([]Header, len(r.Headers))
	var keys strings.Builder
	keys.Grow(names)
	for i, h := range r.Headers {
		keys.WriteString(h.Key)
		c.Headers[i] = Header{keys.String()[keys.Len()-len(h.Key):], own(h.Value)}
	}
	return c
}

// ErrTombstone is the error of a format that needs a value, for a record without one.
var ErrTombstone = errors.New("the record is a tombstone: it has no value, which only a format of pointers has a value for: nil")

// Tombstones makes a format know tombstones. Where T is a pointer, a tombstone is read
// as nil, and nil is written as a tombstone; elsewhere, a tombstone is a bad record
// ([ErrTombstone]). It is for formats of one's own: [JSON], [CSV] and those of package
// registry know tombstones.
func Tombstones[T any](f Format[T]) Format[T] {
	decode, encode := f.Decode, f.Encode
	var none T
	if reflect.TypeFor[T]().Kind() != reflect.Pointer {
		f.Decode = func(r *Record) (T, error) {
			if r.Value == nil {
				return none, ErrTombstone
			}
			return decode(r)
		}
		return f
	}
	f.Decode = func(r *Record) (T, error) {
		if r.Value == nil {
			return none, nil
		}
		return decode(r)
	}
	f.Encode = func(v T, r *Record) error {
		if any(v) == any(none) { // pointers: nothing is allocated
			r.Value = nil
			return nil
		}
		return encode(v, r)
	}
	return f
}

// KeyValue has a record's key and its value, each by its own format.
//
//	kafka.Read(p, url, kafka.KeyValue(kafka.String(), kafka.JSON[Order]()))
func KeyValue[K comparable, V any](key Format[K], value Format[V]) Format[pipeline.KV[K, V]] {
	return Format[pipeline.KV[K, V]]{
		Name:  fmt.Sprintf("key %s, value %s", key.Name, value.Name),
		Keeps: key.Keeps || value.Keeps,
		Err:   errors.Join(key.Err, value.Err),
		Decode: func(r *Record) (kv pipeline.KV[K, V], err error) {
			if kv.Key, err = decodeKey(key, r); err != nil {
				return kv, err
			}
			kv.Value, err = value.Decode(r)
			return kv, err
		},
		Encode: func(kv pipeline.KV[K, V], r *Record) error {
			room := r.Key[:0]
			if err := value.Encode(kv.Value, r); err != nil {
				return err
			}
			v := r.Value
			r.Value = room
			err := key.Encode(kv.Key, r)
			r.Key, r.Value = r.Value, v
			if err != nil {
				return fmt.Errorf("key: %w", err)
			}
			return nil
		},
	}
}

// decodeKey shows the key to a format as the value; a copy of the record would have to
// be allocated.
func decodeKey[K any](f Format[K], r *Record) (K, error) {
	r.Key, r.Value = r.Value, r.Key
	defer func() { r.Key, r.Value = r.Value, r.Key }()
	k, err := f.Decode(r)
	switch {
	case errors.Is(err, ErrTombstone):
		err = errors.New("the record has no key")
	case err != nil:
		err = fmt.Errorf("key: %w", err)
	}
	return k, err
}

// WithKey writes records with the key that a function makes of the value, in place of
// what f or the sink makes the key. It is read as f.
func WithKey[T any](f Format[T], key func(T) string) Format[T] {
	encode := f.Encode
	f.Encode = func(v T, r *Record) error {
		room := r.Key[:0]
		err := encode(v, r)
		r.Key = appendString(room, key(v))
		return err
	}
	return f
}
