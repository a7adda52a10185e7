package coder

import "unsafe"

// Outer returns the coder c in Beam's outer context: the value ends where the bytes
// end, so that a last string or byte slice goes without its length. Decode then
// takes all of b. Coders whose encoding ends in neither are the same in both
// contexts and come back unchanged.
//
// Elements, keys and state are always encoded in the nested context; this one is
// for exchange with older users of Beam's coders.
func Outer[T any](c Coder[T]) Coder[T] {
	if c.outer == nil {
		return c
	}
	o := c.outer()
	o.ID = c.ID + "(outer)"
	return o
}

// outerString and outerBytes are the codecs of a string or bytes that end the
// encoding.
func outerString() *codec {
	return &codec{
		enc: func(b []byte, p unsafe.Pointer) []byte { return append(b, *(*string)(p)...) },
		dec: func(p unsafe.Pointer, b []byte) ([]byte, error) {
			*(*string)(p) = string(b)
			return b[len(b):], nil
		},
	}
}

func outerBytes() *codec {
	return &codec{
		enc: func(b []byte, p unsafe.Pointer) []byte { return append(b, *(*[]byte)(p)...) },
		dec: func(p unsafe.Pointer, b []byte) ([]byte, error) {
			*(*[]byte)(p) = cloneBytes(b)
			return b[len(b):], nil
		},
	}
}

// outerOf gives the typed coder of a codec its outer form, if it has one.
func outerOf[T any](k *codec) func() Coder[T] {
	if k.outer == nil {
		return nil
	}
	return func() Coder[T] { return typedOf[T](k.outer()) }
}
