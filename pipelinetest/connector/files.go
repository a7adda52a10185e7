package connector

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/io/filesystem"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

// Files is the target of a sink of files: write adds the sink, which writes to path,
// a file of that name in a new folder; read adds a source of the files of a pattern.
func Files[T any](t testing.TB, name string, write func(c pipeline.PCollection[T], path string), read func(p *pipeline.Pipeline, pattern string) pipeline.PCollection[T]) Target[T] {
	dir := t.TempDir()
	return Target[T]{
		Write: func(c pipeline.PCollection[T]) { write(c, filepath.Join(dir, name)) },
		Shown: func(ctx context.Context) ([]T, error) {
			if _, err := filesystem.Match(ctx, dir+"/**"); errors.Is(err, fs.ErrNotExist) {
				return nil, nil
			}
			p := pipeline.New()
			got := pipeline.Collect(read(p, dir+"/**"))
			_, err := local.Run(ctx, p, local.Config{Parallelism: 1})
			return got.Values(), err
		},
		Unfinished: func(ctx context.Context) (names []string, _ error) {
			left, err := filesystem.Leftovers(ctx, dir+"/*")
			for _, f := range left {
				names = append(names, f.Path)
			}
			return names, err
		},
	}
}
