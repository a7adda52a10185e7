package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Decompressors are pooled by the process, not by Reader: a source may have many
// more partitions than lanes.
var (
	gzips = sync.Pool{New: func() any { return new(gzipReader) }}
	lz4s  = sync.Pool{New: func() any { return &lz4Reader{z: lz4.NewReader(nil)} }}
	zstds = sync.Pool{New: func() any { return new(zstdReader) }}
)

type gzipReader struct {
	src bytes.Reader
	z   gzip.Reader
}

type lz4Reader struct {
	src bytes.Reader
	z   *lz4.Reader
}

type zstdReader struct {
	z     *zstd.Decoder
	limit int // that z has
}

// decompress appends what is in src to dst, which is empty, and returns it. It
// takes no more than about twice limit, however much src promises.
func decompress(dst []byte, c Codec, src []byte, limit int) ([]byte, error) {
	switch c {
	case Gzip:
		return gunzip(dst, src, limit)
	case Snappy:
		return unsnappy(dst, src, limit)
	case LZ4:
		r := lz4s.Get().(*lz4Reader)
		defer lz4s.Put(r)
		r.src.Reset(src)
		r.z.Reset(&r.src)
		return readAll(slices.Grow(dst, min(4*len(src), limit)+1), r.z, limit)
	default:
		return unzstd(dst, src, limit)
	}
}

func gunzip(dst, src []byte, limit int) ([]byte, error) {
	r := gzips.Get().(*gzipReader)
	defer gzips.Put(r)
	r.src.Reset(src)
	if err := r.z.Reset(&r.src); err != nil {
		return nil, err
	}
	// The end of a stream tells the size; deflate makes at most 1032 bytes of one.
	if n := int64(binary.LittleEndian.Uint32(src[len(src)-4:])); n <= int64(limit) && n <= 1032*int64(len(src)) {
		dst = slices.Grow(dst, int(n)+1)
	}
	return readAll(dst, &r.z, limit)
}

// readAll is io.ReadAll with a limit, into dst.
func readAll(dst []byte, r io.Reader, limit int) ([]byte, error) {
	for {
		if len(dst) > limit {
			return nil, tooLarge(limit)
		}
		if len(dst) == cap(dst) {
			dst = slices.Grow(dst, max(len(dst), 4096))
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if err == io.EOF {
			if len(dst) > limit {
				return nil, tooLarge(limit)
			}
			return dst, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func tooLarge(limit int) error { return fmt.Errorf("%w: %d bytes", ErrTooLarge, limit) }

// The frames of Java's SnappyOutputStream: this and two versions (int32 each),
// then blocks, each with its length (int32) before it. Other clients write one
// block without a frame. Source: xerial/snappy-java, SnappyCodec.
var xerial = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const xerialSize = 16

func unsnappy(dst, src []byte, limit int) ([]byte, error) {
	if !bytes.HasPrefix(src, xerial) {
		return unsnappyBlock(dst, src, limit)
	}
	for len(src) > 0 {
		if bytes.HasPrefix(src, xerial) { // streams may follow each other
			if len(src) < xerialSize {
				return nil, errors.New("the head of the frames is cut off")
			}
			src = src[xerialSize:]
			continue
		}
		if len(src) < 4 {
			return nil, errors.New("a frame is cut off")
		}
		n := int64(binary.BigEndian.Uint32(src))
		if src = src[4:]; n > int64(len(src)) {
			return nil, errors.New("a frame is cut off")
		}
		var err error
		if dst, err = unsnappyBlock(dst, src[:n], limit); err != nil {
			return nil, err
		}
		src = src[n:]
	}
	return dst, nil
}

func unsnappyBlock(dst, src []byte, limit int) ([]byte, error) {
	n, err := snappy.DecodedLen(src)
	if err != nil {
		return nil, err
	}
	if n > limit-len(dst) {
		return nil, tooLarge(limit)
	}
	// Three bytes make at most 64; with two of them, 11.
	if int64(n) > 64*int64(len(src)) {
		return nil, errors.New("the size of a block cannot be true")
	}
	dst = slices.Grow(dst, n)
	if _, err = snappy.Decode(dst[len(dst):len(dst)+n], src); err != nil {
		return nil, err
	}
	return dst[:len(dst)+n], nil
}

func unzstd(dst, src []byte, limit int) ([]byte, error) {
	// A block makes at most 128 KiB of its four bytes or more.
	var h zstd.Header
	if h.Decode(src) == nil && h.HasFCS && h.FrameContentSize/(32<<10) > uint64(len(src)) {
		return nil, errors.New("the size of a frame cannot be true")
	}
	r := zstds.Get().(*zstdReader)
	if err := r.limitTo(limit); err != nil {
		return nil, err
	}
	defer zstds.Put(r)
	dst, err := r.z.DecodeAll(src, dst)
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return nil, tooLarge(limit)
	}
	return dst, err
}

func (r *zstdReader) limitTo(limit int) (err error) {
	if r.limit == limit {
		return nil
	}
	r.z, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(limit)))
	r.limit = limit
	return err
}
