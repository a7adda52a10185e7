package table

import (
	"slices"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/transforms"
)

// JoinOn is each left row with the right row whose key it names, a foreign key; left
// rows without one are left out. A change of a right row changes all left rows that
// name it. name ties the state to the code across versions.
//
// The state has a copy of each left row beside the right row it names, and the result.
//
// A left row that moves from one right key to another does so by two ways that may
// overtake each other; what comes late from the old one is recognised and changes
// nothing. One case is let pass, as not forgetting any deleted row would be its price:
// a row that is deleted, made anew and deleted again, all while its first life is still
// under way from another right key, may be seen and taken back once more.
func JoinOn[K comparable, A any, K2 comparable, B any](left Table[K, A], right Table[K2, B], foreign func(A) K2, name string) Table[K, transforms.Pair[A, B]] {
	type pair = transforms.Pair[A, B]
	return joinOn(left, right, foreign, name, func(a A, b transforms.Optional[B]) transforms.Optional[pair] {
		return transforms.Optional[pair]{OK: b.OK, Value: pair{Left: a, Right: b.Value}}
	})
}

// LeftJoinOn is [JoinOn] with the left rows that name no right row.
func LeftJoinOn[K comparable, A any, K2 comparable, B any](left Table[K, A], right Table[K2, B], foreign func(A) K2, name string) Table[K, transforms.Pair[A, transforms.Optional[B]]] {
	type pair = transforms.Pair[A, transforms.Optional[B]]
	return joinOn(left, right, foreign, name, func(a A, b transforms.Optional[B]) transforms.Optional[pair] {
		return some(pair{Left: a, Right: b})
	})
}

// errand is why a request goes to a right key.
type errand uint8

const (
	enters   errand = 1 + iota // a new left row names the right key
	moves                      // a left row names it that named another
	stays                      // a left row that names it has changed
	leaves                     // a left row names another now
	dies                       // a left row is gone
	rightIs                    // the right row has changed
	rightOff                   // the right row is gone
)

// request is what a right key is told, by left rows and by its own.
type request[K comparable, A, B any] struct {
	Errand errand
	Key    K     // of the left row
	Seq    int64 // of the left row's change
	A      A
	B      B
}

// reply is what a right key tells a left row.
type reply[P any] struct {
	Errand errand // moves, leaves, dies; 0: only the result
	Seq    int64  // of the left row's change that it is about
	Row    transforms.Optional[P]
}

// subscriber is a left row beside the right row that it names.
type subscriber[A any] struct {
	Seq int64
	A   A
}

func joinOn[K comparable, A any, K2 comparable, B, P any](left Table[K, A], right Table[K2, B], foreign func(A) K2, name string, match func(A, transforms.Optional[B]) transforms.Optional[P]) Table[K, P] {
	if foreign == nil {
		pipeline.FailAt(left.changes, "table %q: the function of the foreign key is nil", name)
	}
	failName(left.changes, "table.JoinOn", name)
	return pipeline.Composite(left.changes, name, func() Table[K, P] {
		asks := numbered[K, A, K2, B](left, foreign)
		tells := pipeline.MapValues(right.changes, func(c Change[B]) request[K, A, B] {
			if c.Kind == Delete {
				return request[K, A, B]{Errand: rightOff}
			}
			return request[K, A, B]{Errand: rightIs, B: c.New}
		})
		replies := matched(pipeline.FlattenKeyed(asks, tells), match)
		return Table[K, P]{resolved(replies)}
	})
}

// buckets is how many counters number the changes of left rows. A counter for each
// row would have to be kept for rows that are gone, or numbers would come again.
const buckets = 1024

// numbered sends each change of a left row to the right keys it concerns, with a
// number that is greater than that of any change of the row before, in this life or
// an earlier one.
func numbered[K comparable, A any, K2 comparable, B any](left Table[K, A], foreign func(A) K2) pipeline.Keyed[K2, request[K, A, B]] {
	type in = pipeline.KV[K, Change[A]]
	type ask = request[K, A, B]
	type out = pipeline.KV[K2, ask]
	bucketed := pipeline.FromPairs(pipeline.ParDo(pipeline.Pairs(left.changes), func(_ *pipeline.DoFn, emit pipeline.Emit[pipeline.KV[int, in]]) func(pipeline.Elem, in) error {
		cod, _ := coder.For[K]()
		var buf []byte
		return func(_ pipeline.Elem, c in) error {
			buf = cod.Append(buf[:0], c.Key)
			emit(pipeline.KV[int, in]{Key: bucket(buf), Value: c})
			return nil
		}
	}, pipeline.Named("bucket")))
	return stateful(bucketed, "number", func(s *pipeline.Setup[int, out]) pipeline.Process[int, in, out] {
		last := pipeline.ValueState[int64](s, "last")
		return func(c *pipeline.Ctx[int], ch in, emit pipeline.Emit[out]) error {
			seq := last.Get(c) + 1
			last.Set(c, seq)
			send := func(to K2, e errand, a A) {
				emit(out{Key: to, Value: ask{Errand: e, Key: ch.Key, Seq: seq, A: a}})
			}
			var none A
			switch old, now := ch.Value.Old, ch.Value.New; ch.Value.Kind {
			case Insert:
				send(foreign(now), enters, now)
			case Delete:
				send(foreign(old), dies, none)
			default:
				if from, to := foreign(old), foreign(now); from == to {
					send(to, stays, now)
				} else {
					send(from, leaves, none)
					send(to, moves, now)
				}
			}
			return nil
		}
	})
}

// bucket is FNV-1a of the key's bytes, the same in every process.
func bucket(key []byte) int {
	h := uint64(14695981039346656037)
	for _, b := range key {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return int(h % buckets)
}

// matched keeps at each right key its row and the left rows that name it, and tells
// the left rows what they are joined with.
func matched[K comparable, A any, K2 comparable, B, P any](c pipeline.Keyed[K2, request[K, A, B]], match func(A, transforms.Optional[B]) transforms.Optional[P]) pipeline.Keyed[K, reply[P]] {
	type out = pipeline.KV[K, reply[P]]
	return stateful(c, "match", func(s *pipeline.Setup[K2, out]) pipeline.Process[K2, request[K, A, B], out] {
		right := pipeline.ValueState[B](s, "right")
		lefts := pipeline.MapState[K, subscriber[A]](s, "left")
		return func(c *pipeline.Ctx[K2], r request[K, A, B], emit pipeline.Emit[out]) error {
			switch r.Errand {
			case rightIs, rightOff:
				b := transforms.Optional[B]{OK: r.Errand == rightIs, Value: r.B}
				store(c, right, b)
				for k, l := range lefts.All(c) {
					emit(out{Key: k, Value: reply[P]{Seq: l.Seq, Row: match(l.A, b)}})
				}
			case leaves, dies:
				lefts.Remove(c, r.Key)
				emit(out{Key: r.Key, Value: reply[P]{Errand: r.Errand, Seq: r.Seq}})
			default:
				lefts.Put(c, r.Key, subscriber[A]{r.Seq, r.A})
				emit(out{Key: r.Key, Value: reply[P]{Errand: r.Errand, Seq: r.Seq, Row: match(r.A, lookup(c, right))}})
			}
			return nil
		}
	})
}

// resolved makes changes of the replies to each left row.
func resolved[K comparable, P any](c pipeline.Keyed[K, reply[P]]) pipeline.Keyed[K, Change[P]] {
	type out = pipeline.KV[K, Change[P]]
	return stateful(c, "rows", func(s *pipeline.Setup[K, out]) pipeline.Process[K, reply[P], out] {
		rows := pipeline.ValueState[resolution[P]](s, "row")
		eq := newEquality[P]()
		return func(c *pipeline.Ctx[K], r reply[P], emit pipeline.Emit[out]) error {
			st := rows.Get(c)
			ch, ok := st.take(r)
			if st.forgotten() {
				rows.Clear(c)
			} else {
				rows.Set(c, st)
			}
			if ok && !eq.idle(ch) {
				emit(out{Key: c.Key(), Value: ch})
			}
			return nil
		}
	})
}

// resolution is what is known of a left row where its replies meet. Those of one right
// key come in order; those of several may overtake each other.
type resolution[P any] struct {
	Seq  int64 // of the newest change of the left row that a reply was about
	Gone bool  // that change was its death
	Row  transforms.Optional[P]

	// Moves has n for a row that left a right key with change n and has not shown up
	// at another, and -n for one that has shown up but is not known to have left. A row
	// is born without a move, so as long as one of its lives may have replies under
	// way from a right key before the last, there is a number here.
	Moves []int64
}

// take applies a reply. What is about an older change than has been seen changes
// nothing but Moves.
func (st *resolution[P]) take(r reply[P]) (c Change[P], ok bool) {
	switch r.Errand {
	case leaves:
		st.move(r.Seq)
		return c, false // the right key that it moves to tells the rest
	case moves:
		st.move(-r.Seq)
	}
	if r.Seq < st.Seq {
		return c, false
	}
	old := st.Row
	st.Seq, st.Gone, st.Row = r.Seq, r.Errand == dies, r.Row
	return between(old, st.Row)
}

func (st *resolution[P]) move(n int64) {
	if i := slices.Index(st.Moves, -n); i >= 0 {
		st.Moves = slices.Delete(st.Moves, i, i+1)
		return
	}
	st.Moves = append(st.Moves, n)
}

// forgotten reports that nothing need be kept.
func (st *resolution[P]) forgotten() bool { return st.Gone && len(st.Moves) == 0 }
