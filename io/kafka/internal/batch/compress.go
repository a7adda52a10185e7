package batch

import (
	"bytes"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

var (
	gzipWriters = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}
	lz4Writers  = sync.Pool{New: func() any { return newLZ4() }}
	zstdWriters = sync.Pool{New: func() any { return newZstd() }}
)

// newLZ4 makes what Java's brokers and consumers read: blocks that do not depend
// on each other.
func newLZ4() *lz4.Writer {
	w := lz4.NewWriter(nil)
	err := w.Apply(lz4.BlockSizeOption(lz4.Block256Kb), lz4.ConcurrencyOption(1), lz4.ChecksumOption(false))
	if err != nil {
		panic("BUG: batch: lz4: " + err.Error())
	}
	return w
}

// newZstd has a window of 1 MiB, about a batch, and no sum of its own: a batch
// has one.
func newZstd() *zstd.Encoder {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithEncoderCRC(false))
	if err != nil {
		panic("BUG: batch: zstd: " + err.Error())
	}
	return w
}

// compress appends src, compressed, to dst, which is empty, and returns it.
func compress(dst []byte, c Codec, src []byte) []byte {
	switch c {
	case Gzip:
		w := gzipWriters.Get().(*gzip.Writer)
		defer gzipWriters.Put(w)
		out := bytes.NewBuffer(dst)
		w.Reset(out)
		mustWrite(w.Write(src))
		mustClose(w.Close())
		return out.Bytes()
	case Snappy:
		if n := snappy.MaxEncodedLen(len(src)); cap(dst) < n {
			dst = make([]byte, 0, n)
		}
		return snappy.Encode(dst[:cap(dst)], src)
	case LZ4:
		w := lz4Writers.Get().(*lz4.Writer)
		defer lz4Writers.Put(w)
		out := bytes.NewBuffer(dst)
		w.Reset(out)
		mustWrite(w.Write(src))
		mustClose(w.Close())
		return out.Bytes()
	case Zstd:
		w := zstdWriters.Get().(*zstd.Encoder)
		defer zstdWriters.Put(w)
		return w.EncodeAll(src, dst)
	default:
		panic("BUG: batch: no compression " + c.String())
	}
}

// Writing to memory has no error.
func mustWrite(_ int, err error) { mustClose(err) }

func mustClose(err error) {
	if err != nil {
		panic("BUG: batch: compress: " + err.Error())
	}
}
