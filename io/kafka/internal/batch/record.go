package batch

import "iter"

// Record is what Reader.Next fills in. Key and Value lie in the memory of what
// was fetched, or of what was decompressed, and so live as long as that: see
// Options.Keep.
type Record struct {
	Offset    int64
	Timestamp int64  // Unix ms; -1 if the producer gave none
	Key       []byte // nil: null
	Value     []byte // nil: null

	headers []byte // checked by Reader.Next
	n       int
}

// HeaderCount is the number of headers.
func (r *Record) HeaderCount() int { return r.n }

// Headers walks the headers in their order; a key may come twice, and a null
// value is nil. A walk costs some small allocations, and each key one (Header has
// none, HeaderCount tells whether to walk at all); values lie where Value lies.
// The walk must end before the next Reader.Next.
func (r *Record) Headers() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		b := r.headers
		for range r.n {
			var key, value []byte
			key, value, b = takeHeader(b)
			if !yield(string(key), value) {
				return
			}
		}
	}
}

// RawHeaders is the headers for [CutHeader], which costs nothing:
//
//	for h := r.RawHeaders(); len(h) > 0; {
//		key, value, h = batch.CutHeader(h)
//	}
func (r *Record) RawHeaders() []byte {
	if r.n == 0 {
		return nil
	}
	return r.headers
}

// CutHeader cuts one header from the front of what RawHeaders gave, which is not
// empty. Key and value lie there; a null value is nil.
func CutHeader(raw []byte) (key, value, rest []byte) { return takeHeader(raw) }

// Header returns the last value of key, as Kafka's own clients do, and whether
// there is one. It does not allocate.
func (r *Record) Header(key string) (value []byte, ok bool) {
	b := r.headers
	for range r.n {
		var k, v []byte
		if k, v, b = takeHeader(b); string(k) == key {
			value, ok = v, true
		}
	}
	return value, ok
}

// takeHeader cuts one header from the front of b; rest is nil, and b was not
// empty, if there is none.
func takeHeader(b []byte) (key, value, rest []byte) {
	l, n := varint(b)
	if b = b[n:]; n == 0 || l < 0 || l > int64(len(b)) {
		return nil, nil, nil
	}
	key, b = b[:l:l], b[l:]
	l, n = varint(b)
	if b = b[n:]; n == 0 || l < -1 || l > int64(len(b)) {
		return nil, nil, nil
	}
	if l >= 0 {
		value, b = b[:l:l], b[l:]
	}
	return key, value, b
}

// validHeaders reports whether b is n headers and nothing else.
func validHeaders(b []byte, n int64) bool {
	if n < 0 || n > int64(len(b)) {
		return false
	}
	for range n {
		if _, _, b = takeHeader(b); b == nil {
			return false
		}
	}
	return len(b) == 0
}
