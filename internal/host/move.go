package host

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/internal/frame"
	"github.com/millrace/millrace/internal/held"
	"github.com/millrace/millrace/internal/keygroup"
)

// What a slot takes out of its state with an epoch, as key groups go to other slots, is one
// object for each of these slots:
//
//	| version u8 = 1 | (group uvarint | length uvarint | rows of the group: commit.RowLog)* | CRC-32C of all before it, little-endian |
//
// A group without rows may be missing.
const givenVersion = 1

var errGiven = errors.New("the state of key groups from another slot is damaged")

// firstOwner is the slot of each key group as a job begins.
func firstOwner(slots int) []int {
	owner := make([]int, keygroup.N)
	for g := range owner {
		owner[g] = engine.SlotOf(g, slots)
	}
	return owner
}

// givenName is the object that holds what src has taken out for dst.
func givenName(v held.Version, src int, inc held.Inc, e held.Epoch, dst int) string {
	return fmt.Sprintf("groups/%d/%d/%d-%d/%d", v, src, inc, e, dst)
}

// givenOf is the assignment that an object was taken out for, if it is such a one.
func givenOf(name string) (v held.Version, ok bool) {
	var src, dst int
	var inc held.Inc
	var e held.Epoch
	_, err := fmt.Sscanf(name, "groups/%d/%d/%d-%d/%d", &v, &src, &inc, &e, &dst)
	return v, err == nil && givenName(v, src, inc, e, dst) == name
}

func appendGiven(groups []int, rows map[int][]byte) []byte {
	b := []byte{givenVersion}
	for _, g := range groups {
		if len(rows[g]) > 0 {
			b = binary.AppendUvarint(b, uint64(g))
			b = append(binary.AppendUvarint(b, uint64(len(rows[g]))), rows[g]...)
		}
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// readGiven reads an object. The rows are slices of b.
func readGiven(b []byte) (map[int][]byte, error) {
	if len(b) < 5 || crc32.Checksum(b[:len(b)-4], castagnoli) != binary.LittleEndian.Uint32(b[len(b)-4:]) {
		return nil, errGiven
	}
	if b[0] != givenVersion {
		return nil, fmt.Errorf("%w: it is of version %d, want %d", errGiven, b[0], givenVersion)
	}
	rows := map[int][]byte{}
	for b = b[1 : len(b)-4]; len(b) > 0; {
		g, n := binary.Uvarint(b)
		if n <= 0 || g >= keygroup.N {
			return nil, errGiven
		}
		size, k := binary.Uvarint(b[n:])
		if k <= 0 || size > uint64(len(b)-n-k) {
			return nil, errGiven
		}
		b = b[n+k:]
		rows[int(g)] = b[:size:size]
		b = b[size:]
	}
	return rows, nil
}

// moving is what a host knows of key groups on their way, beside its core. It is guarded by
// the host's mu.
type moving struct {
	came    map[held.Given][]byte // rows of groups that the next cuts put in
	objects map[string][]byte     // what was taken out with the epoch that is cut: durable before its changes are

	unsettled bool // groups of the job are on their way, as its leader knows
}

// Groups implements [engine.Mover].
func (h *Host) Groups() engine.Groups {
	h.mu.Lock()
	defer h.mu.Unlock()
	g := h.core.Groups()
	out := engine.Groups{Owner: g.Owner, Give: g.Give, Frozen: h.core.Frozen(), Marks: h.told()}
	for _, a := range g.Await {
		out.Await = append(out.Await, a.Group)
		if !a.Here {
			out.Absent = append(out.Absent, a.Group)
		}
	}
	return out
}

// told are the watermarks of the record that was committed last. mu is held.
func (h *Host) told() (marks []engine.Mark) {
	list, err := frame.DecodeMarks(nil, h.core.Record().Marks)
	if err != nil {
		h.cancel(fmt.Errorf("watermarks of the record of slot %d: %w", h.cfg.Slot, err))
	}
	for _, m := range list {
		marks = append(marks, engine.Mark{Edge: int(m.Edge), WM: m.WM, Idle: m.Idle})
	}
	return marks
}

// Turn implements [engine.Mover].
func (h *Host) Turn() engine.Turn {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.core.Turn()
	out := engine.Turn{Give: t.Give, Next: t.Next != nil}
	for _, g := range t.Adopt {
		out.Adopt = append(out.Adopt, engine.Rows{Group: g.Group, Rows: h.came[g]})
		delete(h.came, g)
	}
	return out
}

// Given implements [engine.Mover].
func (h *Host) Given(rows map[int][]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.takeOut(rows)
}

// takeOut makes objects of what is taken out with the open epoch. mu is held.
func (h *Host) takeOut(rows map[int][]byte) {
	g := h.core.Groups()
	to := map[int][]int{}
	for _, group := range g.Give {
		to[g.Owner[group]] = append(to[g.Owner[group]], group)
	}
	h.objects = map[string][]byte{}
	for dst, groups := range to {
		h.objects[givenName(g.Version, h.cfg.Slot, h.core.Inc(), h.core.Open(), dst)] = appendGiven(groups, rows)
	}
}

// keepGiven makes durable what was taken out with the epoch that was cut last.
func (h *Host) keepGiven() error {
	h.mu.Lock()
	objects := h.objects
	h.objects = nil
	h.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		if err := h.again(func() error { return h.cfg.Objects.Put(h.ctx, name, bytes.NewReader(objects[name])) }); err != nil {
			return fmt.Errorf("keep what slot %d gives to another one: %w", h.cfg.Slot, err)
		}
		h.cfg.Meter.GivenBytes.Add(uint64(len(objects[name])))
	}
	return nil
}

// Park implements [engine.Mover].
func (h *Host) Park(group, rank, bytes int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.core.Park(group, rank, bytes)
}

// Replayed implements [engine.Mover].
func (h *Host) Replayed(group, rank, bytes int) (awaited bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.core.Replayed(group, rank, bytes)
	h.collect()
	return h.core.Awaits(group)
}

// Frozen implements [engine.Mover].
func (h *Host) Frozen() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.core.Frozen()
}

// adopt reads what another slot has taken out for this one. It is durable; where it is not
// there, this incarnation is of the past, and will be told so.
func (h *Host) adopt(a held.Adopt) error {
	came := map[held.Given][]byte{}
	read := map[string]map[int][]byte{}
	for _, g := range a.Given {
		name := givenName(g.Version, a.Slot, g.Inc, g.Epoch, h.cfg.Slot)
		rows, ok := read[name]
		if !ok {
			b, err := h.given(name)
			if err != nil {
				return err
			}
			if rows, err = readGiven(b); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			read[name] = rows
		}
		came[g] = rows[g.Group]
	}
	h.do(func() {
		maps.Copy(h.came, came)
		h.core.Adopted(a.Given)
	})
	return nil
}

// given reads an object, again and again until it is there.
func (h *Host) given(name string) ([]byte, error) {
	for said := false; ; said = true {
		var b []byte
		err := h.again(func() (err error) {
			b, err = readObject(h.ctx, h.cfg.Objects, name)
			return err
		})
		if err == nil {
			return b, nil
		}
		if !said {
			h.cfg.Log.Warn("the state of key groups was not read; it will be tried again", "slot", h.cfg.Slot, "object", name, "error", err)
		}
		select {
		case <-time.After(callAgain):
		case <-h.ctx.Done():
			return nil, context.Cause(h.ctx)
		}
	}
}

// turnAtEnd does the turn of a cut that the engine has come to its end before: all that is
// left of a group's state has no use to anybody.
func (h *Host) turnAtEnd() {
	t := h.core.Turn()
	for _, g := range t.Adopt {
		delete(h.came, g)
	}
	if len(t.Give) > 0 {
		h.takeOut(nil)
	}
}
