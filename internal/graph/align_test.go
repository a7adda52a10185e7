package graph_test

import (
	"math"
	"testing"

	"github.com/millrace/millrace/internal/graph"
	"github.com/stretchr/testify/require"
)

// The clock that is furthest behind counts; one that has said nothing, is idle or is
// of another group holds nobody up (M20).
func TestAlignments_theLeastOfAGroup(t *testing.T) {
	var all graph.Alignments
	a, b, other := all.Join("clicks"), all.Join("clicks"), all.Join("orders")
	require.Equal(t, int64(math.MaxInt64), a.Least(), "nobody has said where it is")
	a.Say(10)
	other.Say(1)
	require.Equal(t, int64(10), b.Least())
	b.Say(5)
	require.Equal(t, int64(5), a.Least())
	b.Say(math.MaxInt64)
	require.Equal(t, int64(10), a.Least(), "the other one is idle")
	late := all.Join("clicks")
	late.Say(3)
	require.Equal(t, int64(3), a.Least())
}
