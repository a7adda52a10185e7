package coder

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// GlobalWindow is the one window that holds all time.
type GlobalWindow struct{}

// IntervalWindow is the half-open span of event time [Start, End), in Unix
// milliseconds.
type IntervalWindow struct{ Start, End int64 }

// GlobalWindows returns beam:coder:global_window:v1, which writes no bytes.
func GlobalWindows() Coder[GlobalWindow] {
	return Coder[GlobalWindow]{
		ID:     "beam:coder:global_window:v1",
		Append: func(b []byte, _ GlobalWindow) []byte { return b },
		Decode: func(b []byte) (GlobalWindow, []byte, error) { return GlobalWindow{}, b, nil },
	}
}

// AppendInstant appends ts (Unix milliseconds) as Beam does: big-endian with the
// sign bit flipped, so that bytes compare like times.
func AppendInstant(b []byte, ts int64) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(ts)^1<<63)
}

// ReadInstant reads what AppendInstant wrote and returns it with what follows.
func ReadInstant(b []byte) (int64, []byte, error) {
	u, rest, err := readUint64(b)
	return int64(u ^ 1<<63), rest, err
}

// IntervalWindows returns beam:coder:interval_window:v1: the end as an instant, then
// the length in milliseconds as a varint. A window that ends before it starts is an
// error of Decode.
func IntervalWindows() Coder[IntervalWindow] {
	return Coder[IntervalWindow]{
		ID: "beam:coder:interval_window:v1",
		Append: func(b []byte, w IntervalWindow) []byte {
			return AppendVarint(AppendInstant(b, w.End), w.End-w.Start)
		},
		Decode: func(b []byte) (IntervalWindow, []byte, error) {
			end, b, err := ReadInstant(b)
			if err != nil {
				return IntervalWindow{}, nil, err
			}
			span, b, err := ReadVarint(b)
			if err != nil {
				return IntervalWindow{}, nil, err
			}
			if span < 0 || end-span > end {
				return IntervalWindow{}, nil, fmt.Errorf("interval window of length %d", span)
			}
			return IntervalWindow{end - span, end}, b, nil
		},
	}
}

// Timing says where a pane lies relative to the end of its window. The numbers are
// Beam's.
type Timing uint8

// The timings of a pane.
const (
	Early Timing = iota
	OnTime
	Late
	Unknown // of elements that no grouping has seen
)

// Pane describes one firing of a window for a key.
type Pane struct {
	First, Last         bool
	Timing              Timing
	Index               int64 // counts panes from 0
	NonSpeculativeIndex int64 // counts panes that are not early from 0; -1 for an early one
}

// NoFiring is the pane of elements that no grouping has seen.
var NoFiring = Pane{First: true, Last: true, Timing: Unknown}

// The forms of an encoded pane, in the upper half of its first byte.
const (
	paneNoIndex    = 0 // both indices are 0
	paneOneIndex   = 1 // the second follows from the first
	paneTwoIndices = 2
)

// AppendPane appends p as Beam does: a byte of flags, timing and form, then as many
// indices as the form says.
func AppendPane(b []byte, p Pane) []byte {
	head := byte(p.Timing&3) << 2
	if p.First {
		head |= 1
	}
	if p.Last {
		head |= 2
	}
	switch {
	case p.Index == 0 && p.NonSpeculativeIndex == 0:
		return append(b, head|paneNoIndex<<4)
	case p.NonSpeculativeIndex == p.Index && p.Timing != Early, p.NonSpeculativeIndex == -1 && p.Timing == Early:
		return AppendVarint(append(b, head|paneOneIndex<<4), p.Index)
	}
	b = AppendVarint(append(b, head|paneTwoIndices<<4), p.Index)
	return AppendVarint(b, p.NonSpeculativeIndex)
}

// ReadPane reads what AppendPane wrote and returns it with what follows.
func ReadPane(b []byte) (Pane, []byte, error) {
	head, b, err := readByte(b)
	if err != nil {
		return Pane{}, nil, err
	}
	p := Pane{First: head&1 != 0, Last: head&2 != 0, Timing: Timing(head >> 2 & 3)}
	form := head >> 4
	if form == paneNoIndex {
		return p, b, nil
	}
	if form > paneTwoIndices {
		return Pane{}, nil, fmt.Errorf("pane of form %d", form)
	}
	if p.Index, b, err = ReadVarint(b); err != nil {
		return Pane{}, nil, err
	}
	switch {
	case form == paneTwoIndices:
		if p.NonSpeculativeIndex, b, err = ReadVarint(b); err != nil {
			return Pane{}, nil, err
		}
	case p.Timing == Early:
		p.NonSpeculativeIndex = -1
	default:
		p.NonSpeculativeIndex = p.Index
	}
	return p, b, nil
}

// WindowedValue is an element with its time, its windows and its pane, as Beam
// exchanges them.
type WindowedValue[T, W any] struct {
	Value   T
	Time    int64 // event time in Unix milliseconds
	Windows []W
	Pane    Pane
}

// WindowedValues returns beam:coder:windowed_value:v1: time, windows, pane, value.
func WindowedValues[T, W any](value Coder[T], window Coder[W]) Coder[WindowedValue[T, W]] {
	windows := Iterable(window)
	return Coder[WindowedValue[T, W]]{
		ID: "beam:coder:windowed_value:v1<" + value.ID + "," + window.ID + ">",
		Append: func(b []byte, v WindowedValue[T, W]) []byte {
			b = windows.Append(AppendInstant(b, v.Time), v.Windows)
			return value.Append(AppendPane(b, v.Pane), v.Value)
		},
		Decode: func(b []byte) (WindowedValue[T, W], []byte, error) {
			v, b, err := readFrame(b, windows, WindowedValue[T, W]{})
			if err != nil {
				return WindowedValue[T, W]{}, nil, err
			}
			if v.Value, b, err = value.Decode(b); err != nil {
				return WindowedValue[T, W]{}, nil, err
			}
			return v, b, nil
		},
	}
}

// readFrame reads all of a windowed value that comes before the value.
func readFrame[T, W any](b []byte, windows Coder[[]W], v WindowedValue[T, W]) (WindowedValue[T, W], []byte, error) {
	var err error
	if v.Time, b, err = ReadInstant(b); err != nil {
		return v, nil, fmt.Errorf("time: %w", err)
	}
	if v.Windows, b, err = windows.Decode(b); err != nil {
		return v, nil, fmt.Errorf("windows: %w", err)
	}
	if v.Pane, b, err = ReadPane(b); err != nil {
		return v, nil, fmt.Errorf("pane: %w", err)
	}
	return v, b, nil
}

// ParamWindowedValues returns beam:coder:param_windowed_value:v1: only the value is
// written; time, windows and pane are the same for all and come from payload, which
// is a windowed value whose value is no bytes. Append ignores those of the value it
// is given, and decoded values share one slice of windows.
func ParamWindowedValues[T, W any](value Coder[T], window Coder[W], payload []byte) (Coder[WindowedValue[T, W]], error) {
	same, rest, err := readFrame(payload, Iterable(window), WindowedValue[T, W]{})
	if err == nil && !bytes.Equal(rest, []byte{0}) {
		err = errors.New("its value is not empty")
	}
	if err != nil {
		return Coder[WindowedValue[T, W]]{}, fmt.Errorf("payload of beam:coder:param_windowed_value:v1: %w", err)
	}
	return Coder[WindowedValue[T, W]]{
		ID:     fmt.Sprintf("beam:coder:param_windowed_value:v1(%x)<%s,%s>", payload, value.ID, window.ID),
		Append: func(b []byte, v WindowedValue[T, W]) []byte { return value.Append(b, v.Value) },
		Decode: func(b []byte) (WindowedValue[T, W], []byte, error) {
			v := same
			if v.Value, b, err = value.Decode(b); err != nil {
				return WindowedValue[T, W]{}, nil, err
			}
			return v, b, nil
		},
	}, nil
}

// Timer is a timer as Beam exchanges it. When Clear is set, it is to be taken back,
// and Fire, Hold and Pane are not written.
type Timer[K, W any] struct {
	Key     K
	Tag     string // of a dynamic timer
	Windows []W
	Clear   bool
	Fire    int64 // Unix milliseconds, in the timer's time domain
	Hold    int64 // of the watermark; event time in Unix milliseconds
	Pane    Pane
}

// Timers returns beam:coder:timer:v1: key, tag, windows, whether to clear, and else
// the two times and the pane.
func Timers[K, W any](key Coder[K], window Coder[W]) Coder[Timer[K, W]] {
	windows := Iterable(window)
	return Coder[Timer[K, W]]{
		ID: "beam:coder:timer:v1<" + key.ID + "," + window.ID + ">",
		Append: func(b []byte, t Timer[K, W]) []byte {
			b = appendString(key.Append(b, t.Key), t.Tag)
			b = appendBool(windows.Append(b, t.Windows), t.Clear)
			if t.Clear {
				return b
			}
			return AppendPane(AppendInstant(AppendInstant(b, t.Fire), t.Hold), t.Pane)
		},
		Decode: func(b []byte) (Timer[K, W], []byte, error) {
			t, rest, err := readTimer(b, key, windows)
			if err != nil {
				return Timer[K, W]{}, nil, fmt.Errorf("timer: %w", err)
			}
			return t, rest, nil
		},
	}
}

func readTimer[K, W any](b []byte, key Coder[K], windows Coder[[]W]) (t Timer[K, W], rest []byte, err error) {
	if t.Key, b, err = key.Decode(b); err != nil {
		return t, nil, err
	}
	tag, b, err := readBlock(b)
	if err != nil {
		return t, nil, err
	}
	t.Tag = string(tag)
	if t.Windows, b, err = windows.Decode(b); err != nil {
		return t, nil, err
	}
	if t.Clear, b, err = readBool(b); err != nil || t.Clear {
		return t, b, err
	}
	if t.Fire, b, err = ReadInstant(b); err != nil {
		return t, nil, err
	}
	if t.Hold, b, err = ReadInstant(b); err != nil {
		return t, nil, err
	}
	t.Pane, b, err = ReadPane(b)
	return t, b, err
}
