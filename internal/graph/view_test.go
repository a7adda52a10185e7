package graph_test

import (
	"testing"

	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

// A later pane takes the place of an earlier one, whichever arrives first (M95), and
// every reader is woken.
func TestViewSlot_theNewestPaneStays(t *testing.T) {
	var s graph.ViewSlot
	woken := 0
	s.Join(func() { woken++ })
	w := window.Interval{Start: 0, End: 10}
	_, ok := s.Pane(w)
	require.False(t, ok)
	s.PublishPane(w, 1, "second")
	s.PublishPane(w, 0, "first, late")
	v, ok := s.Pane(w)
	require.True(t, ok)
	require.Equal(t, "second", v)
	s.PublishPane(w, 2, "third")
	v, _ = s.Pane(w)
	require.Equal(t, "third", v)
	require.Equal(t, 2, woken)
	require.Equal(t, int64(2), s.Version())
}

// A window is kept as long as one reader may ask for it (M94).
func TestViewSlot_windowsAreKeptForTheSlowestReader(t *testing.T) {
	var s graph.ViewSlot
	fast, slow := s.Join(func() {}), s.Join(func() {})
	early, late := window.Interval{Start: 0, End: 10}, window.Interval{Start: 10, End: 20}
	s.PublishPane(early, 0, 1)
	s.PublishPane(late, 0, 2)
	passed := func(w window.Interval, wm int64) bool { return w.Passed(wm) }
	fast.Say(100)
	require.Empty(t, s.Forget(passed))
	slow.Say(10)
	require.Equal(t, []window.Interval{early}, s.Forget(passed))
	_, ok := s.Pane(early)
	require.False(t, ok)
	_, ok = s.Pane(late)
	require.True(t, ok)
}

func TestViewSlot_asAWhole(t *testing.T) {
	var s graph.ViewSlot
	require.Nil(t, s.Get())
	s.Publish(7)
	require.Equal(t, 7, s.Get())
}
