package kafka

import (
	"encoding/json"
	"fmt"
	"sync"
)

// JSON has values in JSON, as encoding/json has them; characters that HTML gives a
// meaning to (<, > and &) are written as they are. Where T is a pointer, nil is a
// tombstone; elsewhere, tombstones are bad records.
func JSON[T any]() Format[T] {
	encoders := sync.Pool{New: func() any { return newJSONEncoder[T]() }}
	return Tombstones(Format[T]{
		Name: "json",
		Decode: func(r *Record) (v T, err error) {
			if err = json.Unmarshal(r.Value, &v); err != nil && looksFramed(r.Value) {
				err = fmt.Errorf("%w (it looks as if it was written with a schema registry: see io/kafka/registry)", err)
			}
			return v, err
		},
		Encode: func(v T, r *Record) error {
			e := encoders.Get().(*jsonEncoder[T])
			defer encoders.Put(e)
			b, err := e.append(r.Value[:0], v)
			r.Value = b
			return err
		},
	})
}

// looksFramed reports whether a value begins as those of a schema registry do, which
// none in JSON or as text does.
func looksFramed(value []byte) bool { return len(value) > 5 && value[0] == 0 }

// jsonEncoder appends JSON to what it is given.
type jsonEncoder[T any] struct {
	b []byte
	v T // here, so that encoding/json has a pointer to it and nothing is allocated
	e *json.Encoder
}

func newJSONEncoder[T any]() *jsonEncoder[T] {
	e := &jsonEncoder[T]{}
	e.e = json.NewEncoder(e)
	e.e.SetEscapeHTML(false)
	return e
}

func (e *jsonEncoder[T]) Write(b []byte) (int, error) {
	e.b = append(e.b, b...)
	return len(b), nil
}

func (e *jsonEncoder[T]) append(b []byte, v T) ([]byte, error) {
	e.b, e.v = b, v
	err := e.e.Encode(&e.v)
	b = e.b
	e.b, e.v = nil, *new(T)
	if err != nil {
		return b, err
	}
	return b[:len(b)-1], nil // without the line end
}
