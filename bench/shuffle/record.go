package main

import (
	"context"
	"encoding/binary"
	"time"
	"unsafe"

	"github.com/millrace/millrace/internal/keygroup"
)

// workers is how many processes there are; each is one slot.
const workers = 2

// body is a record, in one of the sizes that there are. It is an array, so that taking
// one apart costs no allocation:
//
//	| key u64 | when it was emitted, in ns, or 0 u64 | anything |  little-endian
//
// Its bytes say nothing of what it would compress to: nothing here is compressed.
type body interface {
	[20]byte | [100]byte | [1000]byte
}

// bytesOf are the bytes of a record, in place.
func bytesOf[B body](b *B) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(b)), unsafe.Sizeof(*b)) }

func keyOf[B body](b *B) uint64   { return binary.LittleEndian.Uint64(bytesOf(b)) }
func stampOf[B body](b *B) uint64 { return binary.LittleEndian.Uint64(bytesOf(b)[8:]) }

const stampEvery = 64 // records of which one says when it was emitted

// maker makes the records of one worker, all for the other one.
type maker struct {
	keys []uint64
	text []byte
}

func newMaker(worker, keys int) *maker {
	m := &maker{text: make([]byte, 1<<16)}
	for i := range m.text {
		m.text[i] = byte(keygroup.Mix(uint64(i)))
	}
	for k := uint64(0); len(m.keys) < keys; k++ {
		if ownerOf(k) != worker {
			m.keys = append(m.keys, k)
		}
	}
	return m
}

// ownerOf is the worker whose slot has the key's group.
func ownerOf(key uint64) int { return keygroup.Group(keygroup.Mix(key)) * workers / keygroup.N }

// fill makes record i in b.
func (m *maker) fill(b []byte, i uint64) {
	h := keygroup.Mix(i)
	copy(b[16:], m.text[h&(1<<15-1):])
	binary.LittleEndian.PutUint64(b, m.keys[(h>>32)*uint64(len(m.keys))>>32])
	stamp := uint64(0)
	if i%stampEvery == 0 {
		stamp = uint64(time.Now().UnixNano())
	}
	binary.LittleEndian.PutUint64(b[8:], stamp)
}

// taker notes what is taken in, on one goroutine.
type taker struct {
	N       uint64  // records
	Last    int64   // when the newest stamped one was taken in, in ns since 1970
	Samples []int64 // ns from emission
}

// stamped notes a record of which stamp says when it was emitted.
func (t *taker) stamped(stamp uint64) {
	t.Last = time.Now().UnixNano()
	t.Samples = append(t.Samples, t.Last-int64(stamp))
}

// pace says how many records are due.
type pace struct {
	perSecond float64 // 0: all at once
	began     time.Time
}

func (p *pace) due(all uint64) uint64 {
	if p.perSecond == 0 {
		return all
	}
	if p.began.IsZero() {
		p.began = time.Now()
	}
	return min(all, uint64(time.Since(p.began).Seconds()*p.perSecond))
}

// bodies runs a worker whose records have that size.
var bodies = map[int]func(context.Context, *child) error{20: work[[20]byte], 100: work[[100]byte], 1000: work[[1000]byte]}

func work[B body](ctx context.Context, c *child) error {
	switch {
	case isJob(c.Way):
		return runJob[B](ctx, c)
	case isLoose(c.Way):
		return runLoose[B](ctx, c)
	}
	return runByHand[B](ctx, c)
}
