package csv

import (
	"context"
	"encoding/csv"
	"errors"
	"io"
	"strings"

	"github.com/jszwec/csvutil"

	"github.com/millrace/millrace/internal/csvrecord"
	"github.com/millrace/millrace/io/filesystem"
	"github.com/millrace/millrace/io/text"
)

// pieceOf makes parsers of files whose records are one line each.
func pieceOf[T any](d dialect) func(context.Context, filesystem.File) (text.Parser[T], error) {
	return func(ctx context.Context, f filesystem.File) (text.Parser[T], error) {
		h, err := d.readHeader(ctx, f)
		if err != nil {
			return nil, err
		}
		if h.columns == nil { // empty lines at most
			return func(text.SourceLine) (v T, ok bool, err error) { return v, false, nil }, nil
		}
		p := &oneLine{}
		r := csv.NewReader(p)
		dec, err := csvrecord.NewDecoder(r, d.comma, h.columns)
		if err != nil {
			return nil, err
		}
		return func(line text.SourceLine) (v T, ok bool, err error) {
			content := line.Line
			if line.Offset == 0 {
				content = strings.TrimPrefix(content, string(byteOrderMark))
			}
			if content == "" || line.Offset < h.bytes && h.lines > 0 {
				return v, false, nil
			}
			p.rest = append(append(p.rest[:0], content...), '\n')
			err = dec.Decode(&v)
			switch {
			case errors.Is(err, errOpenQuote):
				return v, false, errOpenQuote
			case errors.Is(err, csvutil.ErrFieldCount):
				return v, false, csvrecord.Ragged(dec.Record(), h.columns)
			}
			return v, err == nil, csvrecord.Sentence(err, 0)
		}, nil
	}
}

var errOpenQuote = errors.New("a value in quotes goes on in the next line, so that csv.Splittable does not fit")

// oneLine is a line for a reader of records, which must not ask for another one.
type oneLine struct{ rest []byte }

func (p *oneLine) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, errOpenQuote
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

var _ io.Reader = (*oneLine)(nil)
