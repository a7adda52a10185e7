package sim

import (
	"encoding/binary"

	"github.com/millrace/millrace/internal/held"
)

// frames are those of an epoch for one receiver, by class.
type frames [][][]element

// keptID names an epoch's frames for one receiver.
type keptID struct {
	src, dst int
	inc      held.Inc
	epoch    held.Epoch
}

// groupID names what was taken out of a group.
type groupID struct {
	slot  int
	inc   held.Inc
	epoch held.Epoch
	group int
}

// rows are the state of a key group; a key is its own group.
type rows struct {
	fan   *fan   // nil: there is none
	tally *tally // nil: there is none
}

type recordID struct {
	slot int
	at   held.Ident
}

// headID names a frame, by whomever it is kept.
type headID struct {
	keptID
	class held.Class
	frame int
}

// objects is what is durable beside registers.
type objects struct {
	copies  map[keptID]frames
	to      map[headID]held.Inc // Data.To, which lies in each copy of a frame
	records map[recordID][]byte
	states  []*state            // by number
	log     map[recordID]*state // the changelog: what chunks lead to, by what names them
	groups  map[groupID]rows
}

func newObjects() objects {
	return objects{copies: map[keptID]frames{}, to: map[headID]held.Inc{}, records: map[recordID][]byte{}, groups: map[groupID]rows{}, log: map[recordID]*state{}}
}

// stateOf is the number of the state that a record stands for; false: it is the start.
func stateOf(r *held.Record) (uint64, bool) {
	if r == nil || r.State == nil {
		return 0, false
	}
	n, _ := binary.Uvarint(r.State)
	return n, true
}

// sink is outside of all: it shows outputs, and refuses an id that it has seen.
type sink struct {
	seen map[txnID]bool
	outs map[[3]int]output // by part, n and index
	ends map[[2]int]int    // by key and window: the count
}

func newSink() sink { return sink{map[txnID]bool{}, map[[3]int]output{}, map[[2]int]int{}} }
