package main

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/millrace/millrace/pipeline"
)

// block is as many records as fit behind their length:
//
//	| length u32 | record * | anything |  little-endian
//
// It is an array, as a record is, and so small that all its copies are in the first cache.
type block [4 << 10]byte

const blockHead = 4

func (b *block) records() []byte { return b[blockHead:][:binary.LittleEndian.Uint32(b[:])] }

// buildBlocks makes a pipeline whose elements are not records but blocks of them. What is
// done for a record is what [hand] does, line by line, so that the ratio to hand is what
// exactly-once costs, and not what a pipeline does.
func (j *job[B]) buildBlocks(p *pipeline.Pipeline) {
	blocks := pipeline.Read[block](p, "shuffle.ReadBlocks", blockSource[B]{source[B]{j}})
	var owners [workers]uint64 // a key of each worker
	for w := range owners {
		for ownerOf(owners[w]) != w {
			owners[w]++
		}
	}
	byOwner := pipeline.KeyBy(blocks, func(b block) uint64 { return owners[ownerOf(binary.LittleEndian.Uint64(b[blockHead:]))] })
	none := pipeline.Stateful(byOwner, "count", func(s *pipeline.Setup[uint64, uint64]) pipeline.Process[uint64, block, uint64] {
		state := pipeline.ValueState[map[uint64]uint64](s, "n")
		t, counted := j.taker()
		return func(c *pipeline.Ctx[uint64], b block, _ pipeline.Emit[uint64]) error {
			counts := state.Get(c)
			if counts == nil {
				counts = make(map[uint64]uint64, j.Keys)
			}
			before := t.N
			t.count(b.records(), j.Size, counts)
			*counted += t.N - before
			state.Set(c, counts)
			return nil
		}
	})
	pipeline.ForEach(none, func(context.Context, uint64) error { return errors.New("nothing is emitted") })
}

// blockSource emits the records of source in blocks.
type blockSource[B body] struct{ source[B] }

func (s blockSource[B]) Splits(_ context.Context, lanes int) (out []pipeline.Split[block], _ error) {
	for i := range lanes {
		out = append(out, blockSplit[B]{&split[B]{s.job, uint64(i), uint64(lanes)}})
	}
	return out, nil
}

type blockSplit[B body] struct{ *split[B] }

func (s blockSplit[B]) Open(_ context.Context, position []byte) (pipeline.Reader[block], error) {
	return &blockReader[B]{reader: s.open(position)}, nil
}

type blockReader[B body] struct {
	*reader[B]
	begun [workers]block // for each owner
	sizes [workers]int   // of what is in them
}

func (r *blockReader[B]) Read(most int, out *pipeline.Output[block]) (pipeline.ReadState, error) {
	due := r.due(out.Waker)
	for ; most > workers && r.next < due; r.next++ {
		r.m.fill(bytesOf(&r.b), r.next)
		w := ownerOf(keyOf(&r.b))
		r.sizes[w] += copy(r.begun[w][blockHead+r.sizes[w]:], bytesOf(&r.b))
		if blockHead+r.sizes[w]+len(r.b) > len(block{}) {
			r.emit(w, out)
			most--
		}
	}
	for w, size := range r.sizes {
		if size > 0 {
			r.emit(w, out)
		}
	}
	return r.state(due), nil
}

func (r *blockReader[B]) emit(w int, out *pipeline.Output[block]) {
	binary.LittleEndian.PutUint32(r.begun[w][:], uint32(r.sizes[w]))
	r.sizes[w] = 0
	out.Emit(r.begun[w])
}
