// Package keygroup maps keys to key groups by a hash that is the same in every
// process, on every platform and for ever: docs/format/keyhash.md specifies it.
package keygroup

import (
	"reflect"
	"sync"
	"unsafe"
)

// N is the number of key groups.
const N = 1024

// Group returns the key group of a hash: its top ten bits, in [0, N). Tables should
// place keys by other bits of the hash, for all keys of a group share these.
func Group(h uint64) int { return int(h >> 54) }

// Mix hashes an integer: the finaliser of splitmix64, a bijection.
//
// Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators",
// OOPSLA 2014, with the constants of Stafford's variant 13.
func Mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// mode is how the keys of a type are hashed.
type mode uint8

const (
	modeBytes mode = iota // through their encoding
	modeUint64
	modeUint32
	modeUint16
	modeUint8 // and bool
	modeInt32
	modeInt16
	modeInt8
	modeString
)

// Hasher hashes keys of K. It may be copied and used by many goroutines at once.
// The zero Hasher is not valid: use [Of].
type Hasher[K comparable] struct {
	mode mode
	slow *slow[K] // nil for the fast modes
}

// slow hashes through an encoding.
type slow[K comparable] struct {
	enc     func([]byte, K) []byte
	scratch sync.Pool // of *[]byte
}

// Of picks how to hash K, by its kind: named types are hashed like those below
// them. enc appends the canonical encoding of a key (equal keys, equal bytes) and
// keeps neither slice nor key; it is used for kinds other than integers, bool and
// string. Of panics if such a K has no enc.
func Of[K comparable](enc func([]byte, K) []byte) Hasher[K] {
	t := reflect.TypeFor[K]()
	m := modeOf(t)
	if m != modeBytes {
		return Hasher[K]{mode: m}
	}
	if enc == nil {
		panic("BUG: keygroup: keys of type " + t.String() + " need an encoding")
	}
	s := &slow[K]{enc: enc}
	s.scratch.New = func() any { return new([]byte) }
	return Hasher[K]{slow: s}
}

func modeOf(t reflect.Type) mode {
	switch t.Kind() {
	case reflect.Int64, reflect.Uint64:
		return modeUint64
	case reflect.Int:
		if t.Size() == 4 {
			return modeInt32
		}
		return modeUint64
	case reflect.Uint:
		if t.Size() == 4 {
			return modeUint32
		}
		return modeUint64
	case reflect.Int32:
		return modeInt32
	case reflect.Uint32:
		return modeUint32
	case reflect.Int16:
		return modeInt16
	case reflect.Uint16:
		return modeUint16
	case reflect.Int8:
		return modeInt8
	case reflect.Uint8, reflect.Bool:
		return modeUint8
	case reflect.String:
		return modeString
	}
	return modeBytes
}

// Sum returns the hash of k. It costs about a nanosecond for integers and a few for
// short strings, and does not allocate.
func (h *Hasher[K]) Sum(k K) uint64 {
	if h.mode == modeUint64 {
		z := *(*uint64)(unsafe.Pointer(&k)) // Mix, spelled out: in generic code of other packages it would be a call
		z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		return z ^ z>>31
	}
	return h.other(k)
}

func (h *Hasher[K]) other(k K) uint64 {
	p := unsafe.Pointer(&k)
	switch h.mode {
	case modeString:
		return SumString(*(*string)(p))
	case modeUint32:
		return Mix(uint64(*(*uint32)(p)))
	case modeInt32:
		return Mix(uint64(*(*int32)(p)))
	case modeUint16:
		return Mix(uint64(*(*uint16)(p)))
	case modeInt16:
		return Mix(uint64(*(*int16)(p)))
	case modeUint8:
		return Mix(uint64(*(*uint8)(p)))
	case modeInt8:
		return Mix(uint64(*(*int8)(p)))
	}
	return h.slow.sum(k)
}

func (s *slow[K]) sum(k K) uint64 {
	buf := s.scratch.Get().(*[]byte)
	*buf = s.enc((*buf)[:0], k)
	h := SumBytes(*buf)
	s.scratch.Put(buf)
	return h
}
