package commit

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Goal: what the cycle decides can be read. Method: a transcript; the script's lines
// go in, and behind each ---- stands what was answered. -update rewrites the answers;
// read that diff as code.
func TestCycle(t *testing.T) {
	const path = "testdata/cycle.txt"
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	var out strings.Builder
	var c *Cycle
	answer := false
	for s := bufio.NewScanner(f); s.Scan(); {
		line := s.Text()
		switch {
		case line == "----":
			answer = true
		case line == "" || strings.HasPrefix(line, "#"):
			answer = false
			out.WriteString(line + "\n")
		case !answer:
			fmt.Fprintf(&out, "%s\n----\n%s\n", line, cycleStep(t, &c, strings.Fields(line)))
		}
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(out.String()), 0o644))
		return
	}
	require.Equal(t, string(want), out.String(), "%s (-update rewrites it)", path)
}

// cycleStep does one line of a script. Where a driver has to ask again what follows,
// it is asked, and both answers are given.
func cycleStep(t *testing.T, c **Cycle, w []string) (out string) {
	defer func() {
		if r := recover(); r != nil {
			out = fmt.Sprint("panic: ", r)
		}
	}()
	var d Decision
	switch w[0] {
	case "begin": // begin LANES [ahead] [on-cuts] [restart-at N]
		*c = &Cycle{}
		for i, x := range w[1:] {
			switch n, err := strconv.Atoi(x); {
			case x == "ahead":
				(*c).Ahead = true
			case x == "on-cuts":
				(*c).OnCuts = true
			case x == "restart-at":
			case i == 0:
				require.NoError(t, err)
				(*c).Lanes = n
			default:
				require.NoError(t, err)
				(*c).RestartAt = n
			}
		}
	case "due":
		d = (*c).CutDue()
	case "wanted":
		d = (*c).CutWanted()
	case "core":
		d = (*c).CoreFinished()
	case "finished":
		d = (*c).LaneFinished()
	case "reported":
		d = (*c).Reported()
	case "persisting": // persisting [moved]
		d = (*c).Persisting(len(w) > 1)
	case "persisted":
		d = (*c).Persisted()
	case "committed":
		d = (*c).Committed()
	case "ended":
		d = (*c).LaneEnded()
	case "restored": // restored EPOCH
		(*c).Restored(number(t, w[1]))
	case "prepares": // prepares EPOCH [wanted]
		return fmt.Sprint((*c).Prepares(number(t, w[1]), len(w) > 2), "; prepared in ", (*c).Prepared())
	case "final": // final EPOCH
		d = (*c).Finalised(number(t, w[1]))
	case "shown": // shown [held]
		d = (*c).Shown(len(w) > 1)
	default:
		require.Fail(t, "no such step", w[0])
	}
	out = d.String()
	if w[0] == "persisted" && (*c).OnCuts {
		out += fmt.Sprintf(", then %v", (*c).Showable())
	}
	if d == Release {
		out += fmt.Sprintf(", then %v", (*c).Released())
	}
	out += fmt.Sprintf("; %v, cut %d", (*c).phase, (*c).Cut())
	for _, x := range []struct {
		is   bool
		text string
	}{{(*c).Ran(), "lanes run"}, {(*c).Last(), "the last"}, {(*c).Committing(), "uncommitted"}} {
		if x.is {
			out += ", " + x.text
		}
	}
	return out
}

func number(t *testing.T, s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	require.NoError(t, err)
	return n
}
