package host

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/millrace/millrace/internal/frame"
	"github.com/millrace/millrace/internal/held"
)

// recordName is the object that is the record of a slot in a cut.
func recordName(slot int, at held.Ident) string {
	return fmt.Sprintf("records/%d/%d-%d-%d", slot, at.Gen, at.Inc, at.Epoch)
}

// recordOf is what the name of an object says, if it is that of a record.
func recordOf(name string) (slot int, at held.Ident, ok bool) {
	_, err := fmt.Sscanf(name, "records/%d/%d-%d-%d", &slot, &at.Gen, &at.Inc, &at.Epoch)
	return slot, at, err == nil && recordName(slot, at) == name
}

func writeRecord(ctx context.Context, to Objects, slot int, at held.Ident, b []byte) error {
	ctx, cancel := context.WithTimeout(ctx, putMost) // who does it again finds another server
	defer cancel()
	return to.Put(ctx, recordName(slot, at), bytes.NewReader(b))
}

func readRecord(ctx context.Context, from Objects, slot int, at held.Ident) (*held.Record, error) {
	b, err := readObject(ctx, from, recordName(slot, at))
	if err != nil {
		return nil, err
	}
	rec := &held.Record{}
	if err := held.Decode(b, rec); err != nil {
		return nil, fmt.Errorf("the record of slot %d in a cut: %w", slot, err)
	}
	return rec, nil
}

func readObject(ctx context.Context, from Objects, name string) ([]byte, error) {
	r, err := from.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// copies are copies that have one newest cut before them.
type copies struct {
	cut    held.Cut
	things []thing
	pieces [][]byte
}

// copies are those of epochs of which some are wanted. Frames stay as they are meanwhile: who
// performs this is the one that trims.
func (h *Host) copies(list []held.Kept) (all []copies) {
	h.mu.Lock()
	kept := make([][][]outFrame, len(list))
	for i := range list {
		kept[i] = h.out[copyID{list[i].Dst, list[i].Inc, list[i].Epoch}]
	}
	h.mu.Unlock()
	for i, classes := range kept {
		k := &list[i]
		at := slices.IndexFunc(all, func(c copies) bool { return c.cut == k.Colour })
		if at < 0 {
			at, all = len(all), append(all, copies{cut: k.Colour})
		}
		c := &all[at]
		c.things = append(c.things, copyOf(k))
		c.pieces = split(c.pieces, copyOf(k), copyBytes(classes)...)
	}
	return all
}

// copyBytes is what lies in a copy, one behind the other. Frames are not copied.
func copyBytes(classes [][]outFrame) (list [][]byte) {
	var numbers []byte
	number := func(n int) {
		at := len(numbers)
		numbers = binary.AppendUvarint(numbers, uint64(n))
		list = append(list, numbers[at:])
	}
	for _, frames := range classes {
		number(len(frames))
		for _, f := range frames {
			number(len(f))
			list = append(list, f)
		}
	}
	return list
}

// writeCopies makes copies durable.
func (h *Host) writeCopies(list []held.Kept, all []copies) error {
	for _, c := range all {
		err := h.append(&h.copied, c.things, c.pieces, func() (_, last uint64, err error) {
			return h.cfg.Copies.Append(h.ctx, h.cfg.Slot, uint64(c.cut), c.pieces...)
		})
		if err != nil {
			return err
		}
	}
	h.do(func() { h.core.CopiesDurable(list) })
	return nil
}

var errCopy = errors.New("the copy of an epoch is damaged")

// copiesOf reads the copies that a record names.
func copiesOf(ctx context.Context, from Copies, rec *held.Record) (*image, error) {
	m, kept := newImage(), map[thing]bool{}
	m.want = func(t thing) bool { return kept[t] }
	var cuts []held.Cut
	for i := range rec.Kept {
		kept[copyOf(&rec.Kept[i])] = true
		cuts = append(cuts, rec.Kept[i].Colour)
	}
	slices.Sort(cuts)
	for _, cut := range slices.Compact(cuts) {
		if err := from.Read(ctx, rec.Slot, uint64(cut), m.add); err != nil {
			return nil, fmt.Errorf("read the copies of slot %d: %w", rec.Slot, err)
		}
	}
	for i := range rec.Kept {
		k := &rec.Kept[i]
		if at := m.parts[copyOf(k)]; at == nil || !at.done {
			return nil, fmt.Errorf("of what slot %d has for slot %d the copy of epoch %d is lost", rec.Slot, k.Dst, k.Epoch)
		}
	}
	return m, nil
}

// restoreCopy takes back what a record names, to be sent in generation gen.
func (h *Host) restoreCopy(k *held.Kept, gen held.Gen, b []byte) error {
	var classes [][]outFrame
	for range h.shape.Classes() {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)) {
			return errCopy
		}
		b = b[size:]
		var frames []outFrame
		for range n {
			size, k := binary.Uvarint(b)
			if k <= 0 || size > uint64(len(b)-k) {
				return errCopy
			}
			f := b[k : k+int(size) : k+int(size)]
			head, _, err := frame.Decode(f, payloadMost)
			if err != nil || head.Codec != frame.Raw {
				return fmt.Errorf("%w: %w", errCopy, err)
			}
			head.Gen = uint64(gen)
			frame.Seal(f, &head)
			frames = append(frames, f)
			b = b[k+int(size):]
		}
		classes = append(classes, frames)
	}
	h.out[copyID{k.Dst, k.Inc, k.Epoch}] = classes
	return nil
}
