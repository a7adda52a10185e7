package table_test

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/millrace/millrace/pipeline"
)

// step is an element of key k at a time, or a watermark, in Unix milliseconds.
type step struct {
	At        int64
	Watermark bool
	Key       string
	Value     string // "": the row is gone
}

func put(at int64, k, v string) step { return step{At: at, Key: k, Value: v} }
func gone(at int64, k string) step   { return step{At: at, Key: k} }
func watermark(at int64) step        { return step{At: at, Watermark: true} }

// script is a source of one split whose elements and watermarks come in the order of
// its steps.
type script []step

func (s script) steps(p *pipeline.Pipeline) pipeline.Keyed[string, step] {
	return pipeline.KeyBy(pipeline.Read(p, "script", pipeline.Source[step](s)), func(s step) string { return s.Key })
}

func (s step) row() (string, bool) { return s.Value, s.Value != "" }

func (s script) Bounded() bool { return true }

func (s script) Splits(context.Context, int) ([]pipeline.Split[step], error) {
	return []pipeline.Split[step]{s}, nil
}
func (s script) ID() string  { return "script" }
func (s script) Size() int64 { return int64(len(s)) }

func (s script) Open(_ context.Context, pos []byte) (pipeline.Reader[step], error) {
	n, _ := binary.Uvarint(pos)
	return &scriptReader{s, int(n)}, nil
}

type scriptReader struct {
	script
	next int
}

// Read is one step, so that a watermark comes before what follows it.
func (r *scriptReader) Read(_ int, out *pipeline.Output[step]) (pipeline.ReadState, error) {
	if r.next == len(r.script) {
		return pipeline.Done, nil
	}
	s := r.script[r.next]
	r.next++
	if s.Watermark {
		out.Watermark(s.At)
	} else {
		out.EmitAt(s.At, s)
	}
	return pipeline.More, nil
}

func (r *scriptReader) Position(b []byte) []byte { return binary.AppendUvarint(b, uint64(r.next)) }
func (r *scriptReader) Where() string            { return time.UnixMilli(r.script[max(r.next-1, 0)].At).String() }
func (r *scriptReader) Progress() int64          { return int64(r.next) }
func (r *scriptReader) Close() error             { return nil }
