//go:build go1.27

package pipeline_test

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
	"github.com/stretchr/testify/require"
)

// The method twins read from left to right and do the same.
func TestMethods(t *testing.T) {
	p := pipeline.New()
	longest := pipeline.Combiner[string, int, int]{
		Add:     func(a *int, w string) { *a = max(*a, len(w)) },
		Merge:   func(a *int, b int) { *a = max(*a, b) },
		Extract: func(a int) int { return a },
	}
	out := pipeline.Collect(pipeline.Create(p, "a bb ccc", "BB").
		FlatMap(strings.FieldsSeq).
		Map(strings.ToLower).
		KeyBy(func(w string) string { return w[:1] }).
		MapValues(func(w string) string { return w + w }).
		CombinePerKey(longest).
		Map(func(k string, n int) string { return k + strings.Repeat("*", n) }))
	_, err := local.Run(t.Context(), p, local.Config{})
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"a**", "b****", "c******"}, out.Values())
}
