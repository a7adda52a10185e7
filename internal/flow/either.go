package flow

import (
	"fmt"
	"iter"

	"github.com/millrace/millrace/coder"
)

// Either is a value of one of several collections on its way into a CoGroup.
type Either[A, B any] struct {
	Right bool
	A     A
	B     B
}

// EitherCoder writes a byte that says which, then the value.
func EitherCoder[A, B any](a coder.Coder[A], b coder.Coder[B]) coder.Coder[Either[A, B]] {
	return coder.Coder[Either[A, B]]{
		ID: "millrace:coder:either:v1<" + a.ID + "," + b.ID + ">",
		Append: func(dst []byte, v Either[A, B]) []byte {
			if v.Right {
				return b.Append(append(dst, 1), v.B)
			}
			return a.Append(append(dst, 0), v.A)
		},
		Decode: func(src []byte) (v Either[A, B], rest []byte, err error) {
			if len(src) == 0 {
				return v, nil, errShort
			}
			switch src[0] {
			case 0:
				v.A, rest, err = a.Decode(src[1:])
			case 1:
				v.Right = true
				v.B, rest, err = b.Decode(src[1:])
			default:
				err = fmt.Errorf("either: tag %d, want 0 or 1", src[0])
			}
			return v, rest, err
		},
	}
}

// Lefts are the values of the first collection in a group.
func Lefts[A, B any](s iter.Seq[Either[A, B]]) iter.Seq[A] {
	return func(yield func(A) bool) {
		for v := range s {
			if !v.Right && !yield(v.A) {
				return
			}
		}
	}
}

// Rights are the values of the second.
func Rights[A, B any](s iter.Seq[Either[A, B]]) iter.Seq[B] {
	return func(yield func(B) bool) {
		for v := range s {
			if v.Right && !yield(v.B) {
				return
			}
		}
	}
}
