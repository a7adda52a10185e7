package upgrade

import (
	"fmt"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
)

// What is kept of one window of a key under triggers and lateness: see cell in
// internal/flow.

// The bits of a cell's state.
const (
	cellFresh  = 1 << iota // elements have come since the last pane
	cellPassed             // the end of the window has been dealt with
	cellShut               // the trigger has finished
	cellFilled             // contents follow
)

// paneValues is the name of parts that list values instead of having an accumulator.
const paneValues = "values"

func (s *shape) cellID() string {
	contents := s.part.Coder
	if s.part.Name == paneValues {
		contents = listOf(contents)
	}
	return tupleURN + "{fresh " + boolID + ", passed " + boolID + ", closed " + boolID + ", trigger " + listOf(varintID) +
		", panes " + varintID + ", onTimePanes " + varintID + ", inTime " + boolID + ", atExpiry " + boolID + ", hold " + varintID +
		", " + s.part.Name + " " + nullableURN + "<" + contents + ">}"
}

func bit(b byte, mask byte) byte {
	if b&mask != 0 {
		return 1
	}
	return 0
}

func (s *shape) takeCell(dst, raw []byte) (_, rest []byte, err error) {
	if len(raw) == 0 {
		return nil, nil, errShort
	}
	state := raw[0]
	words, _ := s.part.Number(graph.OptionWords)
	dst = append(dst, bit(state, cellFresh), bit(state, cellPassed), bit(state, cellShut))
	if dst, raw, err = takeList(words, dst, raw[1:], takeInstant); err != nil {
		return nil, nil, err
	}
	if dst, raw, err = chain(takeInstant, takeInstant)(dst, raw); err != nil {
		return nil, nil, err
	}
	if len(raw) == 0 {
		return nil, nil, errShort
	}
	dst = append(dst, raw[0]&1, raw[0]>>1&1)
	if dst, raw, err = takeInstant(dst, raw[1:]); err != nil {
		return nil, nil, err
	}
	if state&cellFilled == 0 {
		return append(dst, 0), raw, nil
	}
	dst = append(dst, 1)
	if s.part.Name != paneValues {
		return s.one(dst, raw)
	}
	n, raw, err := takeInt(raw)
	if err != nil {
		return nil, nil, err
	}
	values, raw, err := takeBytes(raw)
	if err == nil && (n < 0 || n > int64(len(values))+emptyMax) {
		err = errShort
	}
	if err != nil {
		return nil, nil, err
	}
	dst, left, err := takeList(int(n), dst, values, s.one)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("%d bytes follow the values of a pane", len(left))
	}
	return dst, raw, err
}

func (s *shape) putCell(dst, b []byte) (_, rest []byte, err error) {
	if len(b) < 3 {
		return nil, nil, errShort
	}
	at := len(dst)
	dst = append(dst, b[0]*cellFresh|b[1]*cellPassed|b[2]*cellShut)
	want, _ := s.part.Number(graph.OptionWords)
	if n, _, err := takeListed(b[3:]); err != nil || n != want {
		return nil, nil, fmt.Errorf("the trigger has %d words of state, want %d", n, want)
	}
	if dst, b, err = putList(dst, b[3:], bare, putInstant); err != nil {
		return nil, nil, err
	}
	if dst, b, err = chain(putInstant, putInstant)(dst, b); err != nil {
		return nil, nil, err
	}
	if len(b) < 2 {
		return nil, nil, errShort
	}
	dst = append(dst, b[0]|b[1]<<1)
	if dst, b, err = putInstant(dst, b[2:]); err != nil {
		return nil, nil, err
	}
	if len(b) == 0 {
		return nil, nil, errShort
	}
	if b[0] == 0 {
		return dst, b[1:], nil
	}
	dst[at] |= cellFilled
	if s.part.Name != paneValues {
		return s.one(dst, b[1:])
	}
	return s.putValues(dst, b[1:])
}

// putValues appends a list of values as a pane keeps it.
func (s *shape) putValues(dst, b []byte) (_, rest []byte, err error) {
	n, _, err := takeListed(b)
	if err != nil {
		return nil, nil, err
	}
	values, b, err := putList(nil, b, bare, s.one)
	return appendBytes(appendInt(dst, int64(n)), values), b, err
}

// takeCells takes the windows of a key that may merge.
func (s *shape) takeCells(dst, raw []byte) (_, rest []byte, err error) {
	n, raw, err := takeInt(raw)
	if err == nil && (n < 0 || n > int64(len(raw))) {
		err = errShort
	}
	if err != nil {
		return nil, nil, err
	}
	return takeList(int(n), dst, raw, chain(takeInterval, s.takeCell))
}

func (s *shape) putCells(dst, b []byte) ([]byte, []byte, error) {
	return putList(dst, b, func(dst []byte, n int) []byte { return appendInt(dst, int64(n)) }, chain(putInterval, s.putCell))
}

// freshCell is a cell, as it is shown, of a window that fires once and has not yet: of
// what was grouped or combined without triggers and lateness. contents is as shown.
func (s *shape) freshCell(dst []byte, last int64, contents []byte) []byte {
	words, _ := s.part.Number(graph.OptionWords)
	dst = append(dst, 1, 0, 0)
	head := len(dst)
	dst = count(append(dst, 0, 0, 0, 0), head, words)
	for range words {
		dst = append(dst, 0)
	}
	dst = append(dst, 0, 0, 1, 0)
	dst = append(coder.AppendVarint(dst, last), 1)
	return append(dst, contents...)
}
