package host

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/millrace/millrace/internal/held"
)

// image is a slot by its changelog, as far as that was read: rows up to a record, and
// parts of what later records may name. What it holds is bounded by what records name.
type image struct {
	chain
	rows  *rows            // what the chain leads to
	parts map[thing]*whole // of what is not in rows
	first map[thing]uint64 // the number of the first piece of each thing in rows or parts
	next  uint64           // of the first piece that was not read
	want  func(thing) bool // what is held of what is read; nil: everything
}

// whole is a thing that is being put together again.
type whole struct {
	b     []byte
	count int // pieces so far
	done  bool
}

func newImage() *image {
	return &image{rows: &rows{}, parts: map[thing]*whole{}, first: map[thing]uint64{}}
}

// imageOf is the image of what rec names, nil being the start of the job. warm is one
// that a standby has, or nil: of what it holds nothing is read again.
func imageOf(ctx context.Context, log Changelog, rec *held.Record, warm *image) (*image, error) {
	if rec == nil {
		return newImage(), nil
	}
	if warm != nil {
		if warm.settle(rec) == nil {
			return warm, nil
		}
		if err := warm.read(ctx, log, rec.Slot); err != nil {
			return nil, err
		}
		if warm.settle(rec) == nil {
			return warm, nil
		}
	}
	m := newImage()
	m.want = func(t thing) bool { return names(rec.Chunks, t) }
	if err := m.read(ctx, log, rec.Slot); err != nil {
		return nil, err
	}
	return m, m.settle(rec)
}

// read reads what it has not read.
func (m *image) read(ctx context.Context, log Changelog, slot int) error {
	if err := log.Read(ctx, slot, m.next, math.MaxUint64, m.add); err != nil {
		return fmt.Errorf("read the changelog of slot %d: %w", slot, err)
	}
	return nil
}

// add takes the next piece of the changelog, or of copies.
func (m *image) add(seq uint64, p []byte) error {
	m.next = seq + 1
	if len(p) < pieceHead {
		return fmt.Errorf("a piece of %d bytes", len(p))
	}
	be := binary.BigEndian
	id := thing{p[0], held.Gen(be.Uint64(p[1:])), held.Inc(be.Uint64(p[9:])), held.Epoch(be.Uint64(p[17:])), int(be.Uint32(p[25:]))}
	if m.want != nil && !m.want(id) {
		return nil
	}
	at := m.parts[id]
	count := int(be.Uint32(p[33:]))
	if at == nil {
		at = &whole{}
		if count == 1 {
			at.b = p[pieceHead:pieceHead:len(p)] // no copy
		} else {
			at.b = make([]byte, 0, min(count*pieceMost, roomMost))
		}
		m.parts[id], m.first[id] = at, seq
	}
	if int(be.Uint32(p[29:])) == at.count { // another one is there twice
		at.b = append(at.b, p[pieceHead:]...)
		at.count++
		at.done = at.count == count
	}
	return nil
}

// roomMost is for how many bytes of a thing there is room at once.
const roomMost = 1 << 30

// settle brings rows to rec, if all that this takes was read, and forgets what neither
// rec nor a later record can name.
func (m *image) settle(rec *held.Record) error {
	news, onward := m.rest(rec.Chunks)
	if err := m.complete(rec, news); err != nil {
		return err
	}
	to := m.chain
	if !onward {
		to = chain{}
	}
	var list [][]byte
	for id := range idents(news) {
		b := m.parts[chunkOf(id)].b
		to.grow(id, partIn(b), b)
		list = append(list, b)
	}
	if !slices.Equal(to.named, rec.Chunks) {
		return fmt.Errorf("the changelog of slot %d has other changes than those that the record of epoch %d names", rec.Slot, rec.Epoch)
	}
	if !onward {
		m.rows = &rows{}
	}
	if err := m.rows.replay(list); err != nil {
		m.rows, m.chain = &rows{}, chain{}
		return fmt.Errorf("slot %d, epoch %d: %w", rec.Slot, rec.Epoch, err)
	}
	m.chain = to
	m.forget(rec)
	return nil
}

// complete reports what is missing of news, which rec names.
func (m *image) complete(rec *held.Record, news []held.Chunk) error {
	for id := range idents(news) {
		if at := m.parts[chunkOf(id)]; at == nil || !at.done {
			return fmt.Errorf("the changelog of slot %d has lost changes of epoch %d", rec.Slot, id.Epoch)
		}
	}
	return nil
}

// forget forgets what rec does not name and no later record can.
func (m *image) forget(rec *held.Record) {
	maps.DeleteFunc(m.parts, func(t thing, _ *whole) bool {
		return t.inc < rec.Inc || t.inc == rec.Inc && t.epoch <= rec.Epoch
	})
	maps.DeleteFunc(m.first, func(t thing, _ uint64) bool {
		return m.parts[t] == nil && !slices.ContainsFunc(m.named, func(n held.Chunk) bool { return t == chunkOf(firstOf(n)) })
	})
}
