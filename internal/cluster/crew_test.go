package cluster

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Goal: what a crew decides can be read. Method: transcripts; the script's lines go in,
// and behind each ---- stands what was answered, noted and, where it changed, the roster:
// for each slot its owner, and its standbys behind a plus. -update rewrites the answers;
// read that diff as code.
func TestCrew(t *testing.T) {
	files, err := filepath.Glob("testdata/crew_*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			var out strings.Builder
			script := &crewScript{t: t}
			answer := false
			for s := bufio.NewScanner(strings.NewReader(string(want))); s.Scan(); {
				line := s.Text()
				switch {
				case line == "----":
					answer = true
				case line == "" || strings.HasPrefix(line, "#"):
					answer = false
					out.WriteString(line + "\n")
				case !answer:
					fmt.Fprintf(&out, "%s\n----\n%s", line, script.step(strings.Fields(line)))
				}
			}
			if *update {
				require.NoError(t, os.WriteFile(path, []byte(out.String()), 0o644))
				return
			}
			require.Equal(t, string(want), out.String(), "-update rewrites it")
		})
	}
}

// crewScript is a crew in a test: time stands still between its steps.
type crewScript struct {
	t    *testing.T
	c    *Crew
	cfg  CrewConfig
	now  time.Time
	seen map[string]Edition // newest roster of each worker, which a step tells it
}

// id is the worker of a letter.
func id(letter string) string { return strings.Repeat(letter, 8) }

func (s *crewScript) step(w []string) string {
	if w[0] == "begin" {
		s.begin(w[1:])
		return "ok\n"
	}
	before := s.c.Roster().Edition
	var answer Message
	switch w[0] {
	case "hello": // hello WORKER [child] [wish=N] [program=P] [platform=P] [host=H]
		m := &Hello{Worker: id(w[1]), Program: "p", Platform: "linux/amd64", Host: "h", Pid: int(w[1][0])}
		for _, o := range w[2:] {
			name, val, _ := strings.Cut(o, "=")
			switch name {
			case "child":
				m.Parent = id("0")
			case "wish":
				m.Wish = s.int(val)
			case "program":
				m.Program = val
			case "platform":
				m.Platform = val
			case "host":
				m.Host = val
			default:
				require.Fail(s.t, "no such option", o)
			}
		}
		answer = s.c.Hello(m, s.now)
	case "ready": // ready WORKER... [other|told]
		for _, worker := range w[1:] {
			m := &Ready{Worker: id(worker), Hash: 1}
			if slices.Contains(w, "other") || slices.Contains(w, "told") {
				m.Hash = 2
			}
			if slices.Contains(w, "told") {
				m.Graph = &Graph{Hash: 2, Count: 1, Nodes: []Node{{Name: "count", Position: "main.go:31", Coders: []string{"varint"}}}}
			}
			if worker != "other" && worker != "told" {
				answer = s.c.Ready(m, s.now)
			}
		}
	case "beat": // beat WORKER [old|leaving] [SLOT=STATE[:ERROR]]...
		m := &Beat{Worker: id(w[1]), Edition: s.seen[w[1]]}
		for _, o := range w[2:] {
			slot, state, ok := strings.Cut(o, "=")
			switch {
			case o == "old":
				m.Version--
			case o == "leaving":
				m.Leaving = true
			default:
				require.True(s.t, ok, o)
				state, text, _ := strings.Cut(state, ":")
				r := SlotReport{Slot: s.int(slot), Error: text}
				require.NoError(s.t, r.State.UnmarshalText([]byte(state)))
				m.Slots = append(m.Slots, r)
			}
		}
		answer = s.c.Beat(m, s.now)
	case "exit": // exit WORKER REASON
		s.c.Exit(&Exit{Worker: id(w[1]), Reason: strings.Join(w[2:], " ")})
	case "died": // died WORKER REASON
		s.c.Died("h", int(w[1][0]), strings.Join(w[2:], " "))
	case "after": // after DURATION [WORKER...]: these are heard meanwhile
		d, err := time.ParseDuration(w[1])
		require.NoError(s.t, err)
		s.now = s.now.Add(d)
		for _, worker := range w[2:] {
			s.c.Beat(&Beat{Worker: id(worker), Edition: s.seen[worker]}, s.now)
		}
		s.c.Tick(s.now)
	case "deaf": // deaf DURATION: nobody could be heard meanwhile
		d, err := time.ParseDuration(w[1])
		require.NoError(s.t, err)
		s.now = s.now.Add(d)
		s.c.Excuse(s.now)
		s.c.Tick(s.now)
	case "rescale": // rescale N
		if err := s.c.Rescale(s.int(w[1])); err != nil {
			return "error: " + err.Error() + "\n"
		}
	case "drain":
		s.c.Drain()
	case "stop":
		s.c.Stop()
	case "cancel":
		s.c.Cancel()
	case "leader": // leader TERM: another one goes on from the roster
		last := s.c.Roster()
		s.cfg.Term = uint64(s.int(w[1]))
		s.c = NewCrew(s.cfg, &last, s.now)
	default:
		require.Fail(s.t, "no such step", w[0])
	}
	var out strings.Builder
	switch m := answer.(type) {
	case nil:
	case *Welcome:
		fmt.Fprintf(&out, "welcome as %d\n", m.Number)
	case *Refused:
		fmt.Fprintf(&out, "refused: %v\n", m)
	case *Tell:
		out.WriteString("tell more\n")
	case *Fine:
		out.WriteString("fine\n")
	case *Roster:
		out.WriteString("the roster\n")
		s.seen[w[1]] = m.Edition
	}
	for _, note := range s.c.Notes() {
		out.WriteString("note: " + note + "\n")
	}
	if r := s.c.Roster(); r.Edition != before {
		out.WriteString(s.roster(&r))
		for _, m := range r.Workers {
			s.seen[m.Worker[:1]] = r.Edition
		}
		_, err := sealer.Seal(&r)
		require.NoError(s.t, err, "a roster that can't be sent")
	}
	if out.Len() == 0 {
		return "nothing\n"
	}
	return out.String()
}

func (s *crewScript) begin(options []string) {
	s.now, s.seen = time.Unix(0, 0), map[string]Edition{}
	s.cfg = CrewConfig{Slots: 2, Lanes: 1, Wait: 2, Program: "p", Platform: "linux/amd64", Silence: 3 * time.Second, Build: time.Minute,
		Graph: Graph{Hash: 1, Count: 1, Nodes: []Node{{Name: "count", Position: "main.go:31", Coders: []string{"kv"}}}}}
	for _, o := range options {
		name, val, _ := strings.Cut(o, "=")
		switch name {
		case "slots":
			s.cfg.Slots = s.int(val)
		case "standbys":
			s.cfg.Standbys = s.int(val)
		case "wait":
			s.cfg.Wait = s.int(val)
		default:
			require.Fail(s.t, "no such option", o)
		}
	}
	s.c = NewCrew(s.cfg, nil, s.now)
}

func (s *crewScript) roster(r *Roster) string {
	var out strings.Builder
	fmt.Fprintf(&out, "roster %d/%d, %v", r.Term, r.Version, r.Phase)
	if r.Why != "" {
		fmt.Fprintf(&out, " (%s)", r.Why)
	}
	out.WriteString("; workers")
	for _, m := range r.Workers {
		fmt.Fprintf(&out, " %s#%d", m.Worker[:1], m.Number)
		if m.Spare {
			out.WriteString("(spare)")
		}
	}
	out.WriteString("; slots")
	for _, p := range r.Slots {
		owner := "-"
		if p.Owner != "" {
			owner = p.Owner[:1]
		}
		out.WriteString(" " + owner)
		for _, w := range p.Standbys {
			out.WriteString("+" + w[:1])
		}
	}
	return out.String() + "\n"
}

func (s *crewScript) int(text string) int {
	n, err := strconv.Atoi(text)
	require.NoError(s.t, err)
	return n
}

// Goal: a worker's address is known from its second Hello, when it knows the job, and a slot is
// heard where its owner and its standbys are.
func TestCrew_addresses(t *testing.T) {
	now := time.Unix(0, 0)
	c := NewCrew(CrewConfig{Slots: 2, Lanes: 1, Standbys: 1, Wait: 3, Silence: time.Minute, Build: time.Minute}, nil, now)
	ids := []string{"aaaaaaaa", "bbbbbbbb", "cccccccc"}
	for i, id := range ids {
		hello := &Hello{Worker: id, Host: fmt.Sprint("host", i)}
		for _, hello.Address = range []string{"", fmt.Sprint("10.0.0.", i, ":7000")} {
			require.IsType(t, &Welcome{}, c.Hello(hello, now))
		}
	}
	for _, id := range ids {
		c.Ready(&Ready{Worker: id}, now)
	}
	r := c.Roster()
	require.Equal(t, Running, r.Phase)
	for slot, p := range r.Slots {
		require.Len(t, p.Standbys, 1)
		at := func(worker string) string { return fmt.Sprint("10.0.0.", slices.Index(ids, worker), ":7000") }
		require.Equal(t, []string{at(p.Owner), at(p.Standbys[0])}, r.Addresses(slot))
	}
	r.Workers[slices.Index(ids, r.Slots[0].Owner)].Address = ""
	require.Len(t, r.Addresses(0), 1, "who has none is left out")
	require.Empty(t, (&Roster{Slots: make([]Place, 1)}).Addresses(0))
}
