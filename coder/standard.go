package coder

import (
	"fmt"
	"unsafe"
)

// of is the coder of a codec that cannot fail to exist.
func of[T any](k *codec) Coder[T] {
	var v T
	k.size = unsafe.Sizeof(v)
	return typedOf[T](k)
}

// Strings returns beam:coder:string_utf8:v1.
func Strings() Coder[string] { return of[string](stringCodec()) }

// ByteSlices returns beam:coder:bytes:v1.
func ByteSlices() Coder[[]byte] { return of[[]byte](bytesCodec()) }

// Bools returns beam:coder:bool:v1.
func Bools() Coder[bool] { return of[bool](boolCodec()) }

// Varints returns beam:coder:varint:v1.
func Varints() Coder[int64] { return of[int64](varintOf[int64]()) }

// Doubles returns beam:coder:double:v1.
func Doubles() Coder[float64] { return of[float64](doubleCodec()) }

// KVOf returns beam:coder:kv:v1 of the two coders.
func KVOf[K comparable, V any](k Coder[K], v Coder[V]) Coder[KV[K, V]] {
	putKey, putValue, takeKey, takeValue := k.putAt(), v.putAt(), k.takeAt(), v.takeAt()
	kv := Coder[KV[K, V]]{
		ID:       "beam:coder:kv:v1<" + k.ID + "," + v.ID + ">",
		appendAt: func(b []byte, p *KV[K, V]) []byte { return putValue(putKey(b, &p.Key), &p.Value) },
		decodeAt: func(p *KV[K, V], b []byte) ([]byte, error) {
			b, err := takeKey(&p.Key, b)
			if err != nil {
				return nil, err
			}
			return takeValue(&p.Value, b)
		},
		Append: func(b []byte, kv KV[K, V]) []byte { return v.Append(k.Append(b, kv.Key), kv.Value) },
		Decode: func(b []byte) (kv KV[K, V], rest []byte, err error) {
			if kv.Key, rest, err = k.Decode(b); err != nil {
				return KV[K, V]{}, nil, err
			}
			if kv.Value, rest, err = v.Decode(rest); err != nil {
				return KV[K, V]{}, nil, err
			}
			return kv, rest, nil
		},
	}
	if v.outer != nil {
		kv.outer = func() Coder[KV[K, V]] { return KVOf(k, v.outer()) }
	}
	if k.k != nil && v.k != nil {
		kv.appendAll, kv.decodeAll = manyPairs[K, V](k.k, v.k)
	}
	return kv
}

// manyPairs codes many pairs of which both parts have a codec: without a call through a
// function value for what is common, and with one each for the rest.
func manyPairs[K comparable, V any](key, value *codec) (func([]byte, []KV[K, V]) []byte, func([]KV[K, V], []byte) (int, []byte, error)) {
	put := func(b []byte, vs []KV[K, V]) []byte {
		for i := range vs {
			b = value.put(key.put(b, unsafe.Pointer(&vs[i].Key)), unsafe.Pointer(&vs[i].Value))
		}
		return b
	}
	take := func(vs []KV[K, V], b []byte) (n int, rest []byte, err error) {
		for i := range vs {
			if b, err = key.take(unsafe.Pointer(&vs[i].Key), b); err == nil {
				b, err = value.take(unsafe.Pointer(&vs[i].Value), b)
			}
			if err != nil {
				return i, nil, err
			}
		}
		return len(vs), b, nil
	}
	return put, take
}

// Nullable returns beam:coder:nullable:v1 of c: a byte that says whether there is a
// value, then the value.
func Nullable[T any](c Coder[T]) Coder[*T] {
	return Coder[*T]{
		ID: "beam:coder:nullable:v1<" + c.ID + ">",
		Append: func(b []byte, v *T) []byte {
			if v == nil {
				return append(b, 0)
			}
			return c.Append(append(b, 1), *v)
		},
		Decode: func(b []byte) (*T, []byte, error) {
			set, b, err := readBool(b)
			if err != nil || !set {
				return nil, b, err
			}
			v, b, err := c.Decode(b)
			if err != nil {
				return nil, nil, err
			}
			return &v, b, nil
		},
	}
}

// Iterable returns beam:coder:iterable:v1 of c. It writes the form with a count and
// reads also the one in chunks. A slice without elements is decoded as nil.
//
// The decoder refuses a count larger than the number of bytes that follow, so as
// not to trust it with memory. A coder that writes no bytes for a value can
// therefore not be an element, unless T has no size either; then it refuses more
// than 2^20 of them.
func Iterable[T any](c Coder[T]) Coder[[]T] {
	return iterable("beam:coder:iterable:v1", c)
}

// StateBackedIterable returns beam:coder:state_backed_iterable:v1 of c. An iterable
// whose end lies in a runner's state is an error of Decode: like Beam's Go SDK,
// this package has no way to fetch it.
func StateBackedIterable[T any](c Coder[T]) Coder[[]T] {
	return iterable("beam:coder:state_backed_iterable:v1", c)
}

func iterable[T any](urn string, c Coder[T]) Coder[[]T] {
	size := unsafe.Sizeof(*new(T))
	read := func(s []T, b []byte, n int) ([]T, []byte, error) {
		if size == 0 && n > len(b) {
			return zeroes(c, s, b, n)
		}
		if err := fits(n, len(b), 1, size); err != nil {
			return nil, nil, err
		}
		if s == nil {
			s = make([]T, 0, room(n, len(b), size))
		}
		for range n {
			v, rest, err := c.Decode(b)
			if err != nil {
				return nil, nil, err
			}
			s, b = append(s, v), rest
		}
		return s, b, nil
	}
	return Coder[[]T]{
		ID: urn + "<" + c.ID + ">",
		Append: func(b []byte, s []T) []byte {
			b = appendCount(b, len(s))
			for _, v := range s {
				b = c.Append(b, v)
			}
			return b
		},
		Decode: func(b []byte) (s []T, rest []byte, err error) {
			n, b, err := readCount(b)
			if err != nil || n == 0 {
				return nil, b, err
			}
			if n != chunked {
				return read(nil, b, n)
			}
			for {
				if n, b, err = readChunk(b); err != nil {
					return nil, nil, err
				}
				if n == 0 {
					return s, b, nil
				}
				if s, b, err = read(s, b, n); err != nil {
					return nil, nil, err
				}
			}
		},
	}
}

// zeroes appends n elements of no size and no bytes. Where the first takes bytes,
// there are too few for n.
func zeroes[T any](c Coder[T], s []T, b []byte, n int) ([]T, []byte, error) {
	v, rest, err := c.Decode(b)
	if err != nil {
		return nil, nil, err
	}
	if len(rest) != len(b) {
		return nil, nil, ErrShort
	}
	if len(s)+n > emptyMax {
		return nil, nil, errEmpty
	}
	return append(append(s, v), make([]T, n-1)...), rest, nil
}

// ShardedKey is a key with the shard it was spread to.
type ShardedKey[K comparable] struct {
	Shard string
	Key   K
}

// ShardedKeys returns beam:coder:sharded_key:v1 of k: the shard as bytes, then the
// key.
func ShardedKeys[K comparable](k Coder[K]) Coder[ShardedKey[K]] {
	return Coder[ShardedKey[K]]{
		ID:     "beam:coder:sharded_key:v1<" + k.ID + ">",
		Append: func(b []byte, v ShardedKey[K]) []byte { return k.Append(appendString(b, v.Shard), v.Key) },
		Decode: func(b []byte) (v ShardedKey[K], rest []byte, err error) {
			shard, rest, err := readBlock(b)
			if err != nil {
				return v, nil, fmt.Errorf("shard: %w", err)
			}
			if v.Key, rest, err = k.Decode(rest); err != nil {
				return ShardedKey[K]{}, nil, err
			}
			v.Shard = string(shard)
			return v, rest, nil
		},
	}
}

// LengthPrefixed returns beam:coder:length_prefix:v1 of c: the number of bytes of
// the encoding, then the encoding, so that a reader who does not know c can pass
// over it.
func LengthPrefixed[T any](c Coder[T]) Coder[T] {
	k := userField(erase(c))
	k.id = "beam:coder:length_prefix:v1<" + c.ID + ">"
	return of[T](k)
}
