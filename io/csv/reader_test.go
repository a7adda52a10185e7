package csv

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/csvrecord"
)

type pair struct{ A, B string }

// Goal: a reader that is opened at any position of another one reads just the
// rest, and knows its lines.
func TestReader_goesOnWhereItWas(t *testing.T) {
	for _, content := range []string{
		"A,B\n1,2\n\n3,4\n\"5\n\n\",6\n7,\"8\n8\"\n\n9,10",
		"\ufeffB,A\r\n2,1\r\n4,3\r\n",
		"A,B\n", "",
	} {
		path := filepath.Join(t.TempDir(), "x.csv")
		require.NoError(t, os.WriteFile(path, []byte(content), 0o666))
		fields, err := csvrecord.Fields[pair]()
		require.NoError(t, err)
		splits, err := (&source[pair]{path, dialect{config: config{comma: ','}, fields: fields}}).Splits(t.Context(), 1)
		require.NoError(t, err)
		require.Len(t, splits, 1)
		read := func(pos []byte, n int) (got []string, next []byte, end bool) {
			x, err := splits[0].Open(t.Context(), pos)
			require.NoError(t, err)
			defer x.Close()
			r := x.(*reader[pair])
			for len(got) < n && r.columns != nil && !end {
				v, ok, err := r.record()
				require.NoError(t, err)
				if end = !ok; ok {
					got = append(got, fmt.Sprintf("%q at %s", v, x.Where()))
				}
			}
			require.LessOrEqual(t, x.Progress(), splits[0].Size())
			if r.columns == nil {
				return nil, nil, true
			}
			return got, x.Position(nil), end
		}
		want, _, _ := read(nil, 100)
		for _, step := range []int{1, 2} {
			var got []string
			var pos []byte
			for end := false; !end; {
				var some []string
				some, pos, end = read(pos, step)
				got = append(got, some...)
				_, same, _ := read(pos, 0)
				require.Equal(t, pos, same, "a reader that has read nothing is where it began")
			}
			require.Equal(t, want, got, "%q", content)
		}
	}
}

func TestOpen_damagedPosition(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.csv")
	require.NoError(t, os.WriteFile(path, []byte("A,B\n1,2\n"), 0o666))
	splits, err := (&source[pair]{path, dialect{config: config{comma: ','}}}).Splits(t.Context(), 1)
	require.NoError(t, err)
	for pos, want := range map[string]string{"": "damaged position", "\x80": "damaged position", "\x01": "damaged position", "\x7f\x01": "x.csv at 127: EOF"} {
		_, err := splits[0].Open(t.Context(), []byte(pos))
		require.ErrorContains(t, err, want, "%q", pos)
	}
}
