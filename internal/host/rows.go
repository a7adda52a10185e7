package host

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/millrace/millrace/internal/commit"
)

// part is a part of a slot's rows: those of some key groups, or those of lanes.
type part int

const (
	parts    = 17
	lanePart = parts - 1 // rows that belong to lanes

	allParts part = -1
	noPart   part = -2
)

// partOf is the part of a group's rows. It has nothing to do with the slot and the lane of a
// group, so that each of them has some of each part.
func partOf(group int) part {
	if group < 0 {
		return lanePart
	}
	return part(uint32(group) * 2654435761 >> 28)
}

// wants is what an epoch that is to be the base of p has to hold.
func (p part) wants() commit.Part {
	switch p {
	case noPart, allParts:
		return commit.Part{}
	case lanePart:
		return commit.Part{Lane: true}
	}
	return commit.Part{Groups: func(group int) bool { return partOf(group) == p }}
}

// rows are those that a slot's chunks lead to, each part apart, so that they are made by
// several goroutines, and each part from its base on.
type rows struct {
	parts [parts]map[rowID]row
	last  *commit.Record // of the newest chunk; nil: there was none
}

// rowID names a row. The rows of keys have lane -1.
type rowID struct {
	node string
	lane int
	key  string
}

type row struct {
	group int
	val   []byte
}

// replay adds chunks, one behind the other, which are not the caller's any more. An error
// leaves rows that are worth nothing.
func (r *rows) replay(list [][]byte) error {
	if len(list) == 0 {
		return nil
	}
	chunks := make([]chunk, len(list))
	var from [parts]int // the chunk from which on rows of a part count
	for i, b := range list {
		c, err := readChunk(b)
		if err != nil {
			return err
		}
		chunks[i] = c
		for p := range from {
			if c.of == allParts || int(c.of) == p {
				from[p], r.parts[p] = i, nil
			}
		}
	}
	var err error
	if r.last, err = commit.DecodeRecord(chunks[len(chunks)-1].rec); err != nil {
		return err
	}
	workers := min(runtime.GOMAXPROCS(0), parts)
	errs := make([]error, workers)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() { errs[w] = r.replayParts(chunks, &from, w, workers) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// replayParts adds the rows of every nth part.
func (r *rows) replayParts(chunks []chunk, from *[parts]int, first, n int) error {
	w := rowWriter{rows: r}
	for p := first; p < parts; p += n {
		w.mine[p] = true
	}
	for i := range chunks {
		for p := range w.takes {
			w.takes[p] = w.mine[p] && i >= from[p]
		}
		if !slices.Contains(w.takes[:], true) {
			continue
		}
		w.base = chunks[i].of
		for lane, b := range chunks[i].lanes {
			w.lane = lane
			if err := commit.Replay(b, &w); err != nil {
				return fmt.Errorf("%w: %w", errChunk, err)
			}
		}
	}
	return nil
}

// rowWriter puts rows of some parts into rows.
type rowWriter struct {
	rows        *rows
	mine, takes [parts]bool
	base        part // of the chunk
	node        string
	lane        int
}

func (w *rowWriter) Node(name string) { w.node = name }

// at is where a row is, or is to be; nil if it is another's.
func (w *rowWriter) at(group int, key []byte) (to map[rowID]row, id rowID) {
	p := partOf(group)
	if !w.takes[p] {
		return nil, rowID{}
	}
	if w.rows.parts[p] == nil {
		w.rows.parts[p] = map[rowID]row{}
	}
	id = rowID{w.node, -1, string(key)}
	if group < 0 {
		id.lane = w.lane
	}
	return w.rows.parts[p], id
}

func (w *rowWriter) Put(group int, key, val []byte) {
	if to, id := w.at(group, key); to != nil {
		if w.base != allParts && w.base != partOf(group) {
			val = bytes.Clone(val) // or else it would keep all of the chunk
		}
		to[id] = row{group, val}
	}
}

func (w *rowWriter) Append(group int, key, val []byte) {
	if to, id := w.at(group, key); to != nil {
		to[id] = row{group, append(to[id].val, val...)}
	}
}

func (w *rowWriter) Delete(group int, key []byte) {
	if to, id := w.at(group, key); to != nil {
		delete(to, id)
	}
}

// each calls f with every row that want wants, until f fails. It may be called by several
// goroutines.
func (r *rows) each(want commit.Want, f func(commit.Row) error) error {
	for _, part := range r.parts {
		for id, x := range part {
			if !want.Wants(id.node, id.lane, x.group) {
				continue
			}
			if err := f(commit.Row{Node: id.node, Lane: id.lane, Group: x.group, Key: []byte(id.key), Val: x.val}); err != nil {
				return err
			}
		}
	}
	return nil
}
