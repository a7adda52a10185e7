package connector

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/pipeline"
)

// flaws are ways in which a source of the numbers 0 to 9, in two pieces, breaks
// the contract.
type flaws struct {
	sameID, newIDs, noWhere, overfull, loses, repeats, forgetsOnOpen bool
	progressFalls, wrongEnd, late, goesOn, fuzzyPosition             bool
	busyIdle, trusts, indexes, leaks, badClose, deaf, reusesMemory   bool
}

type brokenSource struct{ flaws }

func (s *brokenSource) Bounded() bool { return true }

func (s *brokenSource) Splits(context.Context, int) (out []pipeline.Split[number], _ error) {
	if s.deaf {
		select {}
	}
	for i := range 2 {
		id := fmt.Sprint("piece ", i)
		if s.sameID {
			id = "piece"
		}
		if s.newIDs {
			id = fmt.Sprintf("%s of %p", id, s)
		}
		out = append(out, &brokenSplit{s, id, 5 * i})
	}
	return out, nil
}

type brokenSplit struct {
	*brokenSource
	id   string
	from int
}

func (s *brokenSplit) ID() string  { return s.id }
func (s *brokenSplit) Size() int64 { return 5 }

func (s *brokenSplit) Open(_ context.Context, pos []byte) (pipeline.Reader[number], error) {
	r := &brokenReader{brokenSplit: s, i: s.from, v: new(int)}
	if pos != nil {
		n, k := binary.Uvarint(pos)
		bad := k <= 0 || k != len(pos) || n < uint64(s.from) || n > uint64(s.from+5)
		switch {
		case bad && s.indexes:
			return nil, errors.New(string("0123456789"[n]))
		case bad && !s.trusts:
			return nil, errors.New("damaged")
		}
		r.i = int(n)
		if s.forgetsOnOpen {
			r.i = s.from
		}
		if s.loses && r.i < s.from+5 {
			r.i++
		}
	}
	if s.leaks {
		go func() { select {} }()
	}
	return r, nil
}

type brokenReader struct {
	*brokenSplit
	i     int
	v     *int
	ended bool
}

func (r *brokenReader) Read(most int, out *pipeline.Output[number]) (pipeline.ReadState, error) {
	for range most {
		if r.i == r.from+5 {
			if r.goesOn && r.ended {
				out.EmitAt(int64(r.i), number{new(int)})
			}
			r.ended = true
			return pipeline.Done, nil
		}
		v := r.v
		if !r.reusesMemory {
			v = new(int)
		}
		*v = r.i
		ts := int64(r.i)
		out.Watermark(ts)
		if r.late {
			out.Watermark(ts + 1)
		}
		out.EmitAt(ts, number{v})
		if r.overfull || r.repeats && r.i == 3 {
			out.EmitAt(ts, number{v})
		}
		r.i++
	}
	if r.busyIdle {
		return pipeline.Idle, nil
	}
	return pipeline.More, nil
}

func (r *brokenReader) Position(b []byte) []byte {
	if r.fuzzyPosition {
		return binary.AppendUvarint(b, uint64(r.i-r.i%2))
	}
	return binary.AppendUvarint(b, uint64(r.i))
}

func (r *brokenReader) Where() string {
	if r.noWhere {
		return ""
	}
	return fmt.Sprint("number ", r.i)
}

func (r *brokenReader) Progress() int64 {
	switch {
	case r.progressFalls && r.i > r.from+3:
		return 1
	case r.wrongEnd && r.i == r.from+5:
		return 4
	}
	return int64(r.i - r.from)
}

func (r *brokenReader) Close() error {
	if r.badClose {
		return errors.New("it would not close")
	}
	return nil
}

// number prints as the number.
type number struct{ V *int }

func (n number) String() string { return fmt.Sprint(*n.V) }

// Goal: the suite finds what is broken, and says what. Method: a sound source,
// which passes, with one flaw at a time.
func TestSource_findsFlaws(t *testing.T) {
	for _, tc := range []struct {
		flaw flaws
		want string // in the first broken promise; none: it keeps all
	}{
		{flaws{}, ""},
		{flaws{sameID: true}, `pieces are named once, and equally each time: for 1 lanes two pieces have the ID "piece"`},
		{flaws{newIDs: true}, "pieces are named once, and equally each time: for 1 lanes the pieces are not the same each time"},
		{flaws{noWhere: true}, "Where is empty while 0 is emitted"},
		{flaws{overfull: true}, "asked for at most 1 elements it emitted 2"},
		{flaws{repeats: true}, "asked for at most 1 elements it emitted 2"},
		{flaws{loses: true}, "behind any position is exactly the rest: piece 0 behind element 0 (position 00): of 5 elements 1 are missing: 0"},
		{flaws{forgetsOnOpen: true}, "behind any position is exactly the rest: piece 0 behind element 1 (position 01): of 4 elements 0 are missing: none; 1 are too many: 0"},
		{flaws{fuzzyPosition: true}, "behind any position is exactly the rest: piece 0 behind element 1 (position 00): of 4 elements 0 are missing: none; 1 are too many: 0"},
		{flaws{progressFalls: true}, "Progress fell from 3 to 1"},
		{flaws{wrongEnd: true}, "at the end Progress is 4 of Size 5"},
		{flaws{late: true}, "0 has time 0, behind the watermark 1 by more than 0s"},
		{flaws{goesOn: true}, "all pieces together are the input: 1 lanes, 1 elements at a time: read piece 0: it went on behind Done"},
		{flaws{busyIdle: true}, "read piece 0: it emitted 1 elements and says that it is Idle"},
		{flaws{trusts: true}, "a damaged position is an error: piece 0: a damaged position (, a good one is 01) is no error"},
		{flaws{indexes: true}, "is a panic: runtime error: index out of range"},
		{flaws{leaks: true}, "a reader is closed in any state and leaves nothing: closed readers hold something"},
		{flaws{badClose: true}, "close piece 0: it would not close"},
		{flaws{reusesMemory: true}, "element 0 was emitted as 0 and became 4: its memory was used again"},
		{flaws{deaf: true}, "an ended context ends it: Splits with a context that has ended: it does not return"},
	} {
		s := Source[number]{
			Read: func(p *pipeline.Pipeline) pipeline.PCollection[number] {
				return pipeline.Read[number](p, "test.Broken", &brokenSource{flaws: tc.flaw})
			},
			Wait: time.Second,
		}
		for i := range 10 {
			s.Want = append(s.Want, number{&i})
		}
		got := "all kept"
		for _, c := range s.checks() {
			if tc.flaw.deaf && c.name != "an ended context ends it" {
				continue
			}
			if err := c.run(t.Context()); err != nil {
				got = c.name + ": " + err.Error()
				break
			}
		}
		if tc.want == "" {
			require.Equal(t, "all kept", got)
			continue
		}
		require.Contains(t, got, tc.want, "%+v", tc.flaw)
	}
}
