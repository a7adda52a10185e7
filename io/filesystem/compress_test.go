package filesystem_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/filesystem"
)

func compress(t *testing.T, text string, c filesystem.Compression) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := filesystem.Compressor(&b, "x", c)
	require.NoError(t, err)
	_, err = io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, w.Close())
	_, err = w.Write([]byte("x"))
	require.True(t, c == filesystem.None || err != nil, "its encoder serves another by now")
	return b.Bytes()
}

func decompress(data []byte, name string, c filesystem.Compression) (string, error) {
	r, err := filesystem.Decompress(io.NopCloser(bytes.NewReader(data)), name, c)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), errors.Join(err, r.Close())
}

func TestDecompress(t *testing.T) {
	gz, zst := compress(t, "text", filesystem.Gzip), compress(t, "text", filesystem.Zstd)
	for _, tc := range []struct {
		story string
		data  []byte
		name  string
		c     filesystem.Compression
		want  string
	}{
		{"by its ending", gz, "x.gz", filesystem.ByName, "text"},
		{"in any case", zst, "X.ZST", filesystem.ByName, "text"},
		{"by its first bytes", gz, "x.log", filesystem.ByName, "text"},
		{"by its first bytes", zst, "x", filesystem.ByName, "text"},
		{"as it is, on request", gz, "x.gz", filesystem.None, string(gz)},
		{"on request, against its ending", zst, "x.gz", filesystem.Zstd, "text"},
		{"plain", []byte("text"), "x.txt", filesystem.ByName, "text"},
		{"plain and shorter than any mark", []byte("t"), "x.txt", filesystem.ByName, "t"},
		{"nothing at all", nil, "x.gz", filesystem.ByName, ""},
		{"nothing at all", nil, "x.zst", filesystem.ByName, ""},
		{"two streams, as snapshots leave them", append(bytes.Clone(gz), gz...), "x.gz", filesystem.ByName, "texttext"},
		{"two streams, as snapshots leave them", append(bytes.Clone(zst), zst...), "x.zst", filesystem.ByName, "texttext"},
		{"a frame to skip before it", append([]byte{0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9}, zst...), "x", filesystem.ByName, "text"},
	} {
		got, err := decompress(tc.data, tc.name, tc.c)
		require.NoError(t, err, tc.story)
		require.Equal(t, tc.want, got, tc.story)
	}
}

func TestDecompress_sentences(t *testing.T) {
	noise := make([]byte, 100_000) // does not shrink, so that offsets are known
	r := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	gz, zst := compress(t, string(noise), filesystem.Gzip), compress(t, string(noise), filesystem.Zstd)
	damaged := func(b []byte, at int) []byte { b = bytes.Clone(b); b[at] ^= 0xff; return b }
	for _, tc := range []struct {
		story string
		data  []byte
		name  string
		want  string
	}{
		{"another kind", zst, "x.gz", "x.gz: not a gzip file: it begins with the bytes 28 b5 2f fd"},
		{"no kind at all", []byte("plain text"), "x.zst", "x.zst: not a zstd file: it begins with the bytes 70 6c 61 69"},
		{"cut in its head", gz[:3], "x.gz", "x.gz: damaged gzip data near byte 3 of the file, which ends too early"},
		{"cut", gz[:50_000], "x.gz", "x.gz: damaged gzip data near byte 50000 of the file, which ends too early"},
		{"cut", zst[:50_000], "x.zst", "x.zst: damaged zstd data near byte 50000 of the file, which ends too early"},
		{"wrong sum", damaged(gz, len(gz)-5), "x.gz", "x.gz: damaged gzip data near byte 1000"},
		{"wrong sum", damaged(zst, len(zst)-1), "x.zst", "x.zst: damaged zstd data near byte 1000"},
		{"rubbish behind it", append(bytes.Clone(gz), "rubbish rubbish"...), "x.gz", "damaged gzip data near byte 1000"},
		{"a window of 2 GiB", []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3, 1, 0, 0}, "x.zst", "needs a window of more than 128 MiB"},
	} {
		_, err := decompress(tc.data, tc.name, filesystem.ByName)
		require.ErrorContains(t, err, tc.want, tc.story)
	}
	_, err := decompress(gz, "x.gz", "lzma")
	require.ErrorContains(t, err, `x.gz: compression "lzma" is not known: it may be none, gzip or zstd`)
	_, err = filesystem.Compressor(io.Discard, "x.gz", "lzma")
	require.ErrorContains(t, err, `x.gz: compression "lzma" is not known`)
}

// Goal: data that could not be read is not called damaged.
func TestDecompress_readErrorIsNoDamage(t *testing.T) {
	for _, c := range []filesystem.Compression{filesystem.Gzip, filesystem.Zstd} {
		data := compress(t, strings.Repeat("abc", 1000), c)
		for _, n := range []int{0, 8, len(data) / 2} {
			in := io.MultiReader(bytes.NewReader(data[:n]), iotest.ErrReader(context.Canceled))
			r, err := filesystem.Decompress(io.NopCloser(in), "x", c)
			if err == nil {
				_, err = io.ReadAll(r)
				require.NoError(t, r.Close())
			}
			require.ErrorIs(t, err, context.Canceled)
			require.NotContains(t, err.Error(), "damaged")
		}
	}
}

func TestSplittable(t *testing.T) {
	for path, want := range map[string]bool{"a.txt": true, "a": true, "a.gz/b": true, "a.gz": false, "s3://b/a.txt.ZST": false} {
		require.Equal(t, want, filesystem.Splittable(path), path)
	}
}

func TestDetect(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/plain", "text")
	put(t, dir+"/packed", string(compress(t, "text", filesystem.Zstd)))
	for path, want := range map[string]filesystem.Compression{"/plain": filesystem.None, "/packed": filesystem.Zstd, "/unread.gz": filesystem.Gzip} {
		got, err := filesystem.Detect(t.Context(), dir+path)
		require.NoError(t, err)
		require.Equal(t, want, got, path)
	}
}

// Goal: damage is an error, never a panic, and never more memory than the window
// and the input justify.
func FuzzDecompress(f *testing.F) {
	for _, c := range []filesystem.Compression{filesystem.Gzip, filesystem.Zstd} {
		var b bytes.Buffer
		w, err := filesystem.Compressor(&b, "x", c)
		if err != nil {
			f.Fatal(err)
		}
		_, err = io.WriteString(w, strings.Repeat("some text ", 100))
		if err := errors.Join(err, w.Close()); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, c := range []filesystem.Compression{filesystem.ByName, filesystem.Gzip, filesystem.Zstd} {
			r, err := filesystem.Decompress(io.NopCloser(bytes.NewReader(data)), "x", c)
			if err != nil {
				continue
			}
			_, _ = io.Copy(io.Discard, io.LimitReader(r, 1<<20))
			require.NoError(t, r.Close())
		}
	})
}
