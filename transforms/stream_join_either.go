package transforms

import (
	"errors"
	"time"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/window"
)

// either is a value of one of the two inputs of a join on its way into its state.
type either[A, B any] struct {
	Right bool
	A     A
	B     B
}

var errEither = errors.New("either: want a tag of 0 or 1 and a value")

// registerEither gives either a coder that writes a tag and the one value that is
// there. The inferred one would write both, also the zero value of the one that is
// not, which a coder of the user's own may not know. A value without a coder is
// reported by whoever asks for the either's next.
func registerEither[A, B any]() {
	a, errA := coder.For[A]()
	b, errB := coder.For[B]()
	if errA != nil || errB != nil {
		return
	}
	coder.Register(coder.Coder[either[A, B]]{
		ID: "millrace:coder:either:v1<" + a.ID + "," + b.ID + ">",
		Append: func(dst []byte, v either[A, B]) []byte {
			if v.Right {
				return b.Append(append(dst, 1), v.B)
			}
			return a.Append(append(dst, 0), v.A)
		},
		Decode: func(src []byte) (v either[A, B], rest []byte, err error) {
			switch {
			case len(src) > 0 && src[0] == 0:
				v.A, rest, err = a.Decode(src[1:])
			case len(src) > 0 && src[0] == 1:
				v.Right = true
				v.B, rest, err = b.Decode(src[1:])
			default:
				err = errEither
			}
			return v, rest, err
		},
	})
}

// bothSides brings the two inputs of a join of streams together, by key. It reports
// windows other than the global one: state is for each window, so values in two
// windows could never meet.
func bothSides[K comparable, A, B any](left pipeline.Keyed[K, A], right pipeline.Keyed[K, B], kind string) pipeline.Keyed[K, either[A, B]] {
	wantGlobal(left, kind, "left input")
	wantGlobal(right, kind, "right input")
	registerEither[A, B]()
	return pipeline.FlattenKeyed(
		pipeline.MapValues(left, func(a A) either[A, B] { return either[A, B]{A: a} }),
		pipeline.MapValues(right, func(b B) either[A, B] { return either[A, B]{Right: true, B: b} }))
}

// wantGlobal reports windows other than the global one.
func wantGlobal(c pipeline.Signal, kind, input string) {
	if fn := pipeline.WindowingOf(c).Fn; fn.Kind() != window.KindGlobal {
		report(c)("%s: its %s has windows %s, but it keeps its state by event time, not by window: "+
			"leave its input in the global window and give the result windows with Windowed", kind, input, fn)
	}
}

// lateness is the larger allowed lateness of two inputs, in milliseconds.
func lateness(left, right pipeline.Signal) int64 {
	return max(pipeline.WindowingOf(left).Lateness, pipeline.WindowingOf(right).Lateness).Milliseconds()
}

// millis is d in milliseconds; it reports what is finer than event time.
func millis(c pipeline.Signal, kind, name string, d time.Duration) int64 {
	if d%time.Millisecond != 0 {
		report(c)("%s: %s is %v, want whole milliseconds, as event time is", kind, name, d)
	}
	return d.Milliseconds()
}

// later is ts + ms, within the times that timers in the global window can have.
func later(ts, ms int64) int64 { return min(max(ts+ms, window.MinTime), window.GlobalEnd) }
