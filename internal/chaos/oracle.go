package chaos

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// expect is every line that a job has to write, behind the name of the output, computed
// without any of our engine.
func expect(n uint64) map[string]int {
	perUser := map[uint64][]event{}
	for i := range n {
		e := eventOf(i)
		perUser[e.User] = append(perUser[e.User], e)
	}
	want := map[string]int{}
	windows := map[int64]map[uint64]int64{} // sums by window and user
	for user, list := range perUser {
		var total, good int64
		perBucket := map[int64]int64{}
		for i, e := range list {
			cost := e.Cost * factorOf(user)
			total += cost
			want["totals "+totalLine(user, int64(i+1), total)]++
			if isPoison(e) {
				want["aside "+asideLine(e)]++
			} else if good++; good%checkedEach == 0 {
				want["checked "+checkedLine(user, good)]++
			}
			at := bucketOf(e.At)
			perBucket[at]++
			if windows[at] == nil {
				windows[at] = map[uint64]int64{}
			}
			windows[at][user] += cost
		}
		var sum int64
		for _, at := range slices.Sorted(maps.Keys(perBucket)) {
			sum += perBucket[at]
			want["timers "+timerLine(user, at, perBucket[at], sum)]++
		}
		slices.SortFunc(list, func(a, b event) int { return cmp.Compare(a.At, b.At) })
		for _, line := range sessionsOf(user, list) {
			want["sessions "+line]++
		}
	}
	for _, sums := range windows {
		var b strings.Builder
		for _, user := range slices.Sorted(maps.Keys(sums)) {
			fmt.Fprintf(&b, "%d=%d ", user, sums[user])
		}
		want["windows "+b.String()]++
	}
	return want
}

// sessionsOf are the lines for a user's events, which are in the order of time.
func sessionsOf(user uint64, list []event) (lines []string) {
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n].At < list[n-1].At+gapMs {
			n++
		}
		lines = append(lines, sessionLine(user, list[0].At, list[n-1].At+gapMs, int64(n)))
		list = list[n:]
	}
	return lines
}

// outputs are the files that the job writes; the second field of a line orders those of
// one key, the first.
var outputs = []string{"windows", "timers", "sessions", "checked", "aside"}

// shown is what a job has written, as it was found.
type shown struct {
	lines     map[string]int      // behind the name of the output
	files     map[string][]string // that a line is in
	unordered []string            // that stand behind a later one of their key
}

// readFiles adds what is in a folder, file by file in the order in which a lane has
// written them. There is no order between lanes.
func (s *shown) readFiles(dir string) error {
	for _, output := range outputs {
		names, err := filepath.Glob(filepath.Join(dir, output+"-*.txt"))
		if err != nil {
			return err
		}
		slices.Sort(names)
		last, lane := map[string]int64{}, ""
		for _, name := range names {
			if of := laneOf(name); of != lane { // a key may have been on another one, and come back
				lane = of
				clear(last)
			}
			b, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			for line := range strings.Lines(string(b)) {
				s.add(output, filepath.Base(name), strings.TrimSuffix(line, "\n"), last)
			}
		}
	}
	return nil
}

// laneOf is what the names of all files of a lane begin with.
func laneOf(file string) string { return file[:strings.LastIndexByte(file, '-')] }

// add adds a line of a file; last is the second field of the last line of each key.
func (s *shown) add(output, file, line string, last map[string]int64) {
	s.lines[output+" "+line]++
	s.files[output+" "+line] = append(s.files[output+" "+line], file)
	f := strings.Fields(line)
	if output == "windows" || output == "aside" || len(f) < 2 {
		return // these come from all lanes
	}
	at, err := strconv.ParseInt(f[1], 10, 64)
	if was, ok := last[f[0]]; err != nil || ok && at < was {
		s.unordered = append(s.unordered, output+" "+line+" in "+file)
	}
	last[f[0]] = at
}

// Verdict is how what a job has written differs from what it had to write.
type Verdict struct {
	Lines      int `json:"lines"` // that it had to write
	Lost       int `json:"lost"`
	Duplicated int `json:"duplicated"` // or never to be written
	Unordered  int `json:"unordered"`

	examples []string
}

// compare finds what is missing in s, what is too often in it, and what has the wrong place.
func (s *shown) compare(want map[string]int) Verdict {
	v := Verdict{Unordered: len(s.unordered)}
	keys := maps.Clone(want)
	maps.Copy(keys, s.lines)
	for _, line := range slices.Sorted(maps.Keys(keys)) {
		v.Lines += want[line]
		switch d := s.lines[line] - want[line]; {
		case d < 0:
			v.Lost -= d
			v.example("lost", line)
		case d > 0:
			v.Duplicated += d
			v.example("too often", line+" in "+strings.Join(s.files[line], ", "))
		}
	}
	for _, line := range s.unordered {
		v.example("out of order", line)
	}
	return v
}

// example keeps a line to be shown, if there are not too many already.
func (v *Verdict) example(what, line string) {
	if len(v.examples) < 12 {
		v.examples = append(v.examples, what+": "+line)
	}
}

// Err says what is wrong, nil if nothing is.
func (v *Verdict) Err() error {
	if v.Lost+v.Duplicated+v.Unordered == 0 {
		return nil
	}
	return fmt.Errorf("of %d lines %d are lost, %d are there too often, %d are out of order:\n  %s",
		v.Lines, v.Lost, v.Duplicated, v.Unordered, strings.Join(v.examples, "\n  "))
}
