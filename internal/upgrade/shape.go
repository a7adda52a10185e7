package upgrade

import (
	"encoding/binary"
	"fmt"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// shape is one part of a row as it is stored, and as it is shown: a value that the
// description typ knows, so that all that can be done with values (JSON, conversion)
// can be done with parts.
type shape struct {
	part graph.Part
	elem *coder.Description // of the part's coder; nil if it has none
	typ  *coder.Description
	bare *coder.Description // typ without the time of expiry

	// take reads the part from the front of raw, appends it as typ and returns what follows.
	take func(dst, raw []byte) (_, rest []byte, err error)
	// put appends the part as it is stored, from one that typ knows.
	put func(dst, b []byte) (_, rest []byte, err error)
}

// The IDs of what parts are shown as.
const (
	listURN     = "beam:coder:iterable:v1"
	nullableURN = "beam:coder:nullable:v1"
	tupleURN    = "millrace:coder:tuple:v1"
	instantID   = "millrace:coder:instant:v1"
	varintID    = "beam:coder:varint:v1"
	boolID      = "beam:coder:bool:v1"
	stringID    = "beam:coder:string_utf8:v1"
	bytesID     = "beam:coder:bytes:v1"
	intervalID  = "beam:coder:interval_window:v1"
	maybeID     = nullableURN + "<" + instantID + ">"
	paneID      = tupleURN + "{timing " + varintID + ", first " + boolID + ", last " + boolID + ", index " + varintID + ", onTimeIndex " + varintID + "}"
)

func listOf(id string) string { return listURN + "<" + id + ">" }

// shapeOf reads a declaration.
func shapeOf(decl string) (s *shape, err error) {
	s = &shape{}
	if s.part, err = graph.ParsePart(decl); err != nil {
		return nil, err
	}
	if s.part.Coder != "" {
		if s.elem, err = coder.Describe(s.part.Coder); err != nil {
			return nil, fmt.Errorf("%s %s: %w", s.part.Kind, s.part.Name, err)
		}
	}
	id, err := s.layout()
	if err != nil {
		return nil, err
	}
	if s.typ, err = coder.Describe(id); err != nil {
		return nil, err
	}
	s.bare = s.typ
	if s.expires() {
		s.typ, err = coder.Describe(s.expiring(id))
	}
	return s, err
}

func (s *shape) expires() bool {
	return s.part.Has(graph.OptionTTL) || s.part.Has(graph.OptionEventTTL)
}

// layout sets take and put and returns the ID of what the part is shown as.
func (s *shape) layout() (id string, err error) {
	elem := s.part.Coder
	switch s.part.Kind {
	case graph.PartEventTimer, graph.PartClockTimer:
		s.take, s.put = takeTimer, putTimer
		return nullableURN + "<" + tupleURN + "{at " + instantID + ", output " + maybeID + "}>", nil
	case graph.PartEventTimers, graph.PartClockTimers:
		s.take, s.put = takeTimers, putTimers
		return listOf(tupleURN + "{tag " + stringID + ", at " + instantID + ", output " + maybeID + "}"), nil
	case graph.PartWriter, graph.PartClock:
		return "millrace:row:" + s.part.Kind, nil
	}
	if s.elem == nil {
		return "", fmt.Errorf("%s %q is declared without a coder", s.part.Kind, s.part.Name)
	}
	switch s.part.Kind {
	case graph.PartValue, graph.PartCombining:
		s.verbatim(nullableURN + "<" + elem + ">")
		return nullableURN + "<" + elem + ">", nil
	case graph.PartCombined, graph.PartSliced, graph.PartBroadcast:
		s.verbatim(elem)
		return elem, nil
	case graph.PartBag:
		s.take, s.put = s.takeBag, s.putBag
		return listOf(elem), nil
	case graph.PartSet:
		s.take, s.put = s.takeSet, s.putSet
		return listOf(elem), nil
	case graph.PartMap:
		s.take, s.put = s.takeMap, s.putMap
		return elem, nil
	case graph.PartOrderedList:
		s.take, s.put = s.takeStamped, s.putStamped
		return listOf(stampedID(elem)), nil
	case graph.PartGrouped, graph.PartView:
		s.take, s.put = s.takeBlocks, s.putBlocks
		return listOf(elem), nil
	case graph.PartParked:
		s.take, s.put = s.takeParked, s.putParked
		return tupleURN + "{cause " + stringID + ", elements " + listOf(stampedID(elem)) + "}", nil
	case graph.PartHeld:
		s.take, s.put = s.takeHeld, s.putHeld
		if s.part.Has(graph.OptionWindows) {
			return listOf(tupleURN + "{time " + instantID + ", window " + intervalID + ", pane " + paneID + ", value " + elem + "}"), nil
		}
		return listOf(stampedID(elem)), nil
	case graph.PartWaiting:
		s.take, s.put = s.takeWaiting, s.putWaiting
		return tupleURN + "{window " + intervalID + ", time " + instantID + ", pane " + paneID + ", value " + elem + "}", nil
	case graph.PartPanes:
		s.take, s.put = s.takePanes, s.putPanes
		return tupleURN + "{index " + varintID + ", elements " + listOf(elem) + "}", nil
	case graph.PartPaned:
		s.take, s.put = s.takeCell, s.putCell
		return s.cellID(), nil
	case graph.PartMerging:
		s.take, s.put = s.takeCells, s.putCells
		return listOf(tupleURN + "{window " + intervalID + ", contents " + s.cellID() + "}"), nil
	}
	return "", fmt.Errorf("the kind of %s %q is unknown: it was declared by a later version", s.part.Kind, s.part.Name)
}

func stampedID(elem string) string {
	return tupleURN + "{time " + instantID + ", value " + elem + "}"
}

// verbatim is the shape of what is stored as it is shown.
func (s *shape) verbatim(id string) {
	d, err := coder.Describe(id)
	if err != nil {
		panic("BUG: upgrade: " + err.Error())
	}
	s.take = func(dst, raw []byte) ([]byte, []byte, error) { return copied(d, dst, raw) }
	s.put = s.take
}

// copied copies one value.
func copied(d *coder.Description, dst, b []byte) (_, rest []byte, err error) {
	rest, err = d.Skip(b)
	if err != nil {
		return nil, nil, err
	}
	return append(dst, b[:len(b)-len(rest)]...), rest, nil
}

// expiring adds the time of expiry that follows a cell.
func (s *shape) expiring(id string) string {
	take, put := s.take, s.put
	s.take = func(dst, raw []byte) (_, rest []byte, err error) {
		if dst, raw, err = take(dst, raw); err != nil {
			return nil, nil, err
		}
		return takeMaybe(dst, raw)
	}
	s.put = func(dst, b []byte) (_, rest []byte, err error) {
		if dst, b, err = put(dst, b); err != nil {
			return nil, nil, err
		}
		return appendMaybe(dst, b)
	}
	return tupleURN + "{value " + id + ", expires " + maybeID + "}"
}

// list reads elements one by one: each appends one to dst.
func takeList(n int, dst, raw []byte, each func(dst, raw []byte) (_, rest []byte, err error)) (_, rest []byte, err error) {
	head := len(dst)
	dst = count(append(dst, 0, 0, 0, 0), head, n)
	for range n {
		if dst, raw, err = each(dst, raw); err != nil {
			return nil, nil, err
		}
	}
	return dst, raw, nil
}

// putList is the inverse.
func putList(dst, b []byte, head func(dst []byte, n int) []byte, each func(dst, b []byte) (_, rest []byte, err error)) (_, rest []byte, err error) {
	n, b, err := takeListed(b)
	if err != nil {
		return nil, nil, err
	}
	dst = head(dst, n)
	for range n {
		if dst, b, err = each(dst, b); err != nil {
			return nil, nil, err
		}
	}
	return dst, b, nil
}

func counted(dst []byte, n int) []byte { return binary.AppendUvarint(dst, uint64(n)) }
func bare(dst []byte, _ int) []byte    { return dst }

func (s *shape) one(dst, b []byte) (_, rest []byte, err error) { return copied(s.elem, dst, b) }

func (s *shape) takeBag(dst, raw []byte) (_, rest []byte, err error) {
	n, raw, err := takeCount(raw)
	if err != nil {
		return nil, nil, err
	}
	return takeList(n, dst, raw, s.one)
}

func (s *shape) putBag(dst, b []byte) ([]byte, []byte, error) { return putList(dst, b, counted, s.one) }

// A set is a map of true.
func (s *shape) takeSet(dst, raw []byte) (_, rest []byte, err error) {
	n, raw, err := takeCount(raw)
	if err != nil {
		return nil, nil, err
	}
	return takeList(n, dst, raw, func(dst, raw []byte) (_, rest []byte, err error) {
		if dst, raw, err = s.one(dst, raw); err == nil && len(raw) == 0 {
			err = errShort
		}
		if err != nil {
			return nil, nil, err
		}
		return dst, raw[1:], nil
	})
}

func (s *shape) putSet(dst, b []byte) ([]byte, []byte, error) {
	return putList(dst, b, counted, func(dst, b []byte) (_, rest []byte, err error) {
		if dst, b, err = s.one(dst, b); err != nil {
			return nil, nil, err
		}
		return append(dst, 1), b, nil
	})
}

// takeMap takes a map that is stored as its coder writes it, but for the count.
func (s *shape) takeMap(dst, raw []byte) (_, rest []byte, err error) {
	n, raw, err := takeCount(raw)
	if err != nil {
		return nil, nil, err
	}
	whole := append(count(make([]byte, 4, 4+len(raw)), 0, n), raw...)
	left, err := s.elem.Skip(whole)
	if err != nil {
		return nil, nil, err
	}
	return append(dst, whole[:len(whole)-len(left)]...), raw[len(raw)-len(left):], nil
}

func (s *shape) putMap(dst, b []byte) (_, rest []byte, err error) {
	rest, err = s.elem.Skip(b)
	if err != nil {
		return nil, nil, err
	}
	n, _, err := takeListed(b)
	if err != nil {
		return nil, nil, err
	}
	return append(counted(dst, n), b[4:len(b)-len(rest)]...), rest, nil
}

// takeInstant and putInstant turn a stored time into an instant and back.
func takeInstant(dst, raw []byte) ([]byte, []byte, error) {
	ts, raw, err := takeInt(raw)
	return coder.AppendVarint(dst, ts), raw, err
}

func putInstant(dst, b []byte) ([]byte, []byte, error) {
	ts, b, err := coder.ReadVarint(b)
	return appendInt(dst, ts), b, err
}

// chain does one after the other.
func chain(fs ...func(dst, b []byte) ([]byte, []byte, error)) func(dst, b []byte) ([]byte, []byte, error) {
	return func(dst, b []byte) (_, rest []byte, err error) {
		for _, f := range fs {
			if dst, b, err = f(dst, b); err != nil {
				return nil, nil, err
			}
		}
		return dst, b, nil
	}
}

func (s *shape) takeStamped(dst, raw []byte) (_, rest []byte, err error) {
	n, raw, err := takeCount(raw)
	if err != nil {
		return nil, nil, err
	}
	return takeList(n, dst, raw, chain(takeInstant, s.one))
}

func (s *shape) putStamped(dst, b []byte) ([]byte, []byte, error) {
	return putList(dst, b, counted, chain(putInstant, s.one))
}

func takeTimer(dst, raw []byte) (_, rest []byte, err error) {
	at, raw, err := takeInt(raw)
	if err != nil {
		return nil, nil, err
	}
	if at == 0 {
		_, raw, err = takeInt(raw)
		return append(dst, 0), raw, err
	}
	return takeMaybe(coder.AppendVarint(append(dst, 1), unpack(at)), raw)
}

func putTimer(dst, b []byte) (_, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, errShort
	}
	if b[0] == 0 {
		return appendInt(appendInt(dst, 0), 0), b[1:], nil
	}
	return chain(putPacked, appendMaybe)(dst, b[1:])
}

func takePacked(dst, raw []byte) ([]byte, []byte, error) {
	p, raw, err := takeInt(raw)
	return coder.AppendVarint(dst, unpack(p)), raw, err
}

func putPacked(dst, b []byte) ([]byte, []byte, error) {
	ts, b, err := coder.ReadVarint(b)
	return appendInt(dst, pack(ts)), b, err
}

func copyBlock(dst, b []byte) ([]byte, []byte, error) {
	v, b, err := takeBytes(b)
	return appendBytes(dst, v), b, err
}

func takeTimers(dst, raw []byte) (_, rest []byte, err error) {
	n, raw, err := takeInt(raw)
	if err == nil && (n < 0 || n > int64(len(raw))) {
		err = errShort
	}
	if err != nil {
		return nil, nil, err
	}
	return takeList(int(n), dst, raw, chain(copyBlock, takePacked, takeMaybe))
}

func putTimers(dst, b []byte) ([]byte, []byte, error) {
	return putList(dst, b, func(dst []byte, n int) []byte { return appendInt(dst, int64(n)) }, chain(copyBlock, putPacked, appendMaybe))
}

// rest reads elements up to the end of the row.
func takeAll(dst, raw []byte, each func(dst, raw []byte) (_, rest []byte, err error)) (_, rest []byte, err error) {
	head, n := len(dst), 0
	for dst = append(dst, 0, 0, 0, 0); len(raw) > 0; n++ {
		left := len(raw)
		if dst, raw, err = each(dst, raw); err != nil {
			return nil, nil, err
		}
		if len(raw) == left {
			return nil, nil, fmt.Errorf("%d bytes are left over", left)
		}
	}
	return count(dst, head, n), raw, nil
}

// inBlock is f on what a block holds.
func inBlock(f func(dst, b []byte) ([]byte, []byte, error)) func(dst, raw []byte) ([]byte, []byte, error) {
	return func(dst, raw []byte) ([]byte, []byte, error) {
		b, raw, err := takeBytes(raw)
		if err != nil {
			return nil, nil, err
		}
		dst, left, err := f(dst, b)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("%d bytes follow a value", len(left))
		}
		return dst, raw, err
	}
}

// asBlock puts what f makes into a block.
func asBlock(f func(dst, b []byte) ([]byte, []byte, error)) func(dst, b []byte) ([]byte, []byte, error) {
	return func(dst, b []byte) ([]byte, []byte, error) {
		v, b, err := f(nil, b)
		return appendBytes(dst, v), b, err
	}
}

func (s *shape) takeBlocks(dst, raw []byte) ([]byte, []byte, error) {
	return takeAll(dst, raw, inBlock(s.one))
}

func (s *shape) putBlocks(dst, b []byte) ([]byte, []byte, error) {
	return putList(dst, b, bare, asBlock(s.one))
}

func (s *shape) takeParked(dst, raw []byte) (_, rest []byte, err error) {
	if dst, raw, err = copyBlock(dst, raw); err != nil {
		return nil, nil, err
	}
	return takeAll(dst, raw, inBlock(chain(takeInstant, s.one)))
}

func (s *shape) putParked(dst, b []byte) (_, rest []byte, err error) {
	if dst, b, err = copyBlock(dst, b); err != nil {
		return nil, nil, err
	}
	return putList(dst, b, bare, asBlock(chain(putInstant, s.one)))
}

func takeInterval(dst, raw []byte) ([]byte, []byte, error) {
	w, raw, err := takeWindow(raw)
	return coder.IntervalWindows().Append(dst, coder.IntervalWindow{Start: w.Start, End: w.End}), raw, err
}

func putInterval(dst, b []byte) ([]byte, []byte, error) {
	w, b, err := coder.IntervalWindows().Decode(b)
	return appendWindow(dst, window.Interval{Start: w.Start, End: w.End}), b, err
}

// takePane takes a pane: a byte of timing, one of flags, two numbers.
func takePane(dst, raw []byte) ([]byte, []byte, error) {
	if len(raw) < 2 {
		return nil, nil, errShort
	}
	dst = append(coder.AppendVarint(dst, int64(raw[0])), raw[1]&1, raw[1]>>1&1)
	return chain(takeInstant, takeInstant)(dst, raw[2:])
}

func putPane(dst, b []byte) ([]byte, []byte, error) {
	timing, b, err := coder.ReadVarint(b)
	if err != nil || len(b) < 2 {
		return nil, nil, errShort
	}
	dst = append(dst, byte(timing), b[0]|b[1]<<1)
	return chain(putInstant, putInstant)(dst, b[2:])
}

func (s *shape) takeHeld(dst, raw []byte) ([]byte, []byte, error) {
	each := chain(takeInstant, s.one)
	if s.part.Has(graph.OptionWindows) {
		each = chain(takeInstant, takeInterval, takePane, s.one)
	}
	return takeAll(dst, raw, inBlock(each))
}

func (s *shape) putHeld(dst, b []byte) ([]byte, []byte, error) {
	each := chain(putInstant, s.one)
	if s.part.Has(graph.OptionWindows) {
		each = chain(putInstant, putInterval, putPane, s.one)
	}
	return putList(dst, b, bare, asBlock(each))
}

func (s *shape) takeWaiting(dst, raw []byte) ([]byte, []byte, error) {
	return chain(takeInterval, takeInstant, takePane, s.one)(dst, raw)
}

func (s *shape) putWaiting(dst, b []byte) ([]byte, []byte, error) {
	return chain(putInterval, putInstant, putPane, s.one)(dst, b)
}

func (s *shape) takePanes(dst, raw []byte) (_, rest []byte, err error) {
	if dst, raw, err = takeInstant(dst, raw); err != nil {
		return nil, nil, err
	}
	return takeAll(dst, raw, s.one)
}

func (s *shape) putPanes(dst, b []byte) (_, rest []byte, err error) {
	if dst, b, err = putInstant(dst, b); err != nil {
		return nil, nil, err
	}
	return putList(dst, b, bare, s.one)
}
