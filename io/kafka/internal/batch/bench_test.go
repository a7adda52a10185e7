package batch

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"strconv"
	"testing"
)

// filler is JSON-like bytes that compress about as well as people's records.
func filler(n, i int) []byte {
	var b []byte
	for j := 0; len(b) < n; j++ {
		b = fmt.Appendf(b, `{"id":%d,"user":"user-%d","amount":%d.%02d,"ok":true},`, i*31+j, i*7919%10007, i*j%997, i%100)
	}
	return b[:n]
}

// batchesOf is about total bytes of batches of about 16 KiB each.
func batchesOf(total, size int, c Codec) (raw []byte, n int) {
	var b Builder
	for base := int64(0); len(raw) < total; base += int64(b.Len()) {
		b.Reset(nil)
		for b.Size() < 16<<10 {
			b.Add(1_700_000_000_000+int64(n), fmt.Appendf(nil, "key-%06d", n), filler(size, n), nil)
			n++
		}
		one := b.Finish(c)
		header(one).setBase(base)
		raw = append(raw, one...)
	}
	return raw, n
}

func BenchmarkRead(b *testing.B) {
	for _, size := range []int{100, 1000} {
		for _, c := range codecs {
			b.Run(strconv.Itoa(size)+"B/"+c.String(), func(b *testing.B) {
				raw, n := batchesOf(1<<20, size, c)
				benchRead(b, raw, n)
			})
		}
	}
}

func BenchmarkReadHeaders(b *testing.B) {
	var bu Builder
	n := 0
	for ; bu.Size() < 1<<20; n++ {
		bu.Add(int64(n), nil, filler(100, n), []Header{{"trace", []byte("0123456789abcdef")}, {"from", []byte("x")}})
	}
	benchRead(b, bu.Finish(None), n)
}

func benchRead(b *testing.B, raw []byte, n int) {
	b.ReportAllocs()
	var r Reader
	var rec Record
	sum := 0
	for b.Loop() {
		r.Reset(raw, 0, Options{})
		got := 0
		for r.Next(&rec) {
			sum += len(rec.Value)
			got++
		}
		if got != n || r.Err() != nil {
			b.Fatal(got, r.Err())
		}
	}
	perRecord(b, n)
}

func perRecord(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/record")
}

func BenchmarkSum(b *testing.B) {
	raw, n := batchesOf(1<<20, 100, None)
	for b.Loop() {
		for h := header(raw); len(h) > 0; h = h[h.size():] {
			if h := h[:h.size()]; crc32.Checksum(h[atAttributes:], castagnoli) != h.sum() {
				b.Fatal("sum")
			}
		}
	}
	perRecord(b, n)
}

func BenchmarkBuild(b *testing.B) {
	for _, size := range []int{100, 1000} {
		for _, c := range codecs {
			b.Run(strconv.Itoa(size)+"B/"+c.String(), func(b *testing.B) {
				b.ReportAllocs()
				var values [1000][]byte
				for i := range values {
					values[i] = filler(size, i)
				}
				key := bytes.Repeat([]byte("k"), 10)
				var bu Builder
				buf := make([]byte, 0, 2<<20)
				n := 0
				for b.Loop() {
					bu.Reset(buf)
					for i := 0; bu.Size() < 1<<20; i++ {
						bu.Add(1_700_000_000_000+int64(i), key, values[i%1000], nil)
					}
					n = bu.Len()
					Stamp(bu.Finish(c), Producer{5, 1}, 7, true)
				}
				perRecord(b, n)
			})
		}
	}
}

func BenchmarkPartition(b *testing.B) {
	key := []byte("a key of 20 bytes...")
	for b.Loop() {
		Partition(key, 12)
	}
}
