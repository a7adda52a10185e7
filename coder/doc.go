// Package coder turns elements, keys and state into bytes and back, in the
// standard coders of the Beam model, so that the same bytes serve the wire, state
// and snapshots, and exchange with Beam runners.
//
// [For] infers a coder from a type:
//
//	bool                              beam:coder:bool:v1
//	int, int8 ... int64               beam:coder:varint:v1 (sign-extended to 64 bits)
//	uint8, uint16, uint32             beam:coder:varint:v1
//	uint, uint64                      millrace:coder:uvarint:v1 (the same bytes as varint)
//	float64                           beam:coder:double:v1
//	float32                           millrace:coder:float:v1 (four bytes, big-endian)
//	string                            beam:coder:string_utf8:v1 (not checked to be UTF-8)
//	[]byte                            beam:coder:bytes:v1
//	[n]byte                           millrace:coder:fixed_bytes:v1(n), bytes of that length
//	time.Time                         millrace:coder:time:v1, see below
//	*T                                beam:coder:nullable:v1<T>
//	[]T                               beam:coder:iterable:v1<T>
//	[n]T                              millrace:coder:array:v1(n)<T>, the bytes of an iterable
//	map[K]V                           millrace:coder:map:v1<K,V>, sorted by the bytes of the keys
//	KV[K, V]                          beam:coder:kv:v1<K,V>
//	ShardedKey[K]                     beam:coder:sharded_key:v1<K>
//	GlobalWindow, IntervalWindow      beam:coder:global_window:v1, beam:coder:interval_window:v1
//	any other struct                  beam:coder:row:v1 with a schema, see [SchemaOf]
//
// A named type has the coder of its underlying type. Other types (interfaces,
// channels, functions, complex numbers, uintptr), structs with unexported fields
// and types that contain themselves have none; [Register] gives a type a coder of
// your own.
//
// Nil and empty are one: a slice without elements is decoded as nil, a map as an
// empty map. A pointer keeps the difference.
//
// A time.Time keeps its instant to the nanosecond (Beam's logical type
// timestamp:v1 of precision 9) and loses its location and monotonic reading: it is
// decoded in UTC.
//
// In a row, integers have the widths of Beam's schemas (uint8 and int8 one byte,
// int16 two, int32 a varint of 32 bits), so the bytes of a field may differ from
// those of its type alone. docs/format/coders.md draws all encodings.
package coder
