package parquet

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/pipeline"
)

type row struct {
	N    int64
	Text string
	List []string
}

// Goal: a reader that is opened at any position of another one reads just the rest.
func TestReader_goesOnWhereItWas(t *testing.T) {
	var want []row
	for i := range 25 {
		want = append(want, row{int64(i), string(rune('a' + i)), []string{"x", string(rune('a' + i))}})
	}
	var b bytes.Buffer
	w := parquet.NewGenericWriter[row](&b, parquet.MaxRowsPerRowGroup(10), parquet.PageBufferSize(16))
	_, err := w.Write(want)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	path := filepath.Join(t.TempDir(), "x.parquet")
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o666))

	splits, err := (&source[row]{path}).Splits(t.Context(), 2)
	require.NoError(t, err)
	require.Len(t, splits, 3)
	read := func(sp pipeline.Split[row], pos []byte, n int) (got []row, next []byte) {
		x, err := sp.Open(t.Context(), pos)
		require.NoError(t, err)
		defer x.Close()
		r := x.(*reader[row])
		rows, _ := r.next(n)
		got = append(got, rows...)
		r.n += int64(len(rows)) // as Read does, which needs a run
		return got, r.Position(nil)
	}
	for _, step := range []int{1, 3, 100} {
		var got []row
		for _, sp := range splits {
			var pos []byte
			for {
				rows, next := read(sp, pos, step)
				if len(rows) == 0 {
					break
				}
				got, pos = append(got, rows...), next
			}
		}
		require.Equal(t, want, got, "%d rows at a time", step)
	}

	for _, pos := range [][]byte{{}, {0x80}, {1}, {100}} {
		_, err := splits[0].Open(t.Context(), pos)
		require.ErrorContains(t, err, "go on with "+splits[0].ID()+": damaged position", "% x", pos)
	}
}

// Goal: rows that were emitted stay as they are when more are read.
func TestReader_rowsKeepTheirMemory(t *testing.T) {
	var b bytes.Buffer
	w := parquet.NewGenericWriter[row](&b)
	_, err := w.Write([]row{{1, "one", []string{"eins", "un"}}, {2, "two", []string{"zwei", "deux"}}})
	require.NoError(t, err)
	require.NoError(t, w.Close())
	path := filepath.Join(t.TempDir(), "x.parquet")
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o666))
	splits, err := (&source[row]{path}).Splits(t.Context(), 1)
	require.NoError(t, err)
	x, err := splits[0].Open(t.Context(), nil)
	require.NoError(t, err)
	defer x.Close()
	r := x.(*reader[row])
	rows, err := r.next(1)
	require.NoError(t, err)
	first := rows[0]
	_, _ = r.next(1)
	require.Equal(t, row{1, "one", []string{"eins", "un"}}, first)
}
