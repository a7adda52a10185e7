package upgrade

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/graph"
)

// Outcome is what becomes of the state of a transform.
type Outcome uint8

const (
	Kept     Outcome = iota // rows are taken as they are
	Migrated                // rows are written anew: see Migration
	New                     // it had no state before
	Dropped                 // rows are not taken
	Refused                 // nothing may be started
)

var outcomeNames = [...]string{"kept", "migrated", "new", "dropped", "refused"}

func (o Outcome) String() string { return outcomeNames[o] }

// Options of a plan.
type Options struct {
	// AllowDropped names transforms, as they were called, whose state may go, if it can't be kept; "*" is all.
	AllowDropped map[string]bool
	// Renamed says what transforms are called now, by their old names.
	Renamed map[string]string
	// Empty reports that an old transform has no rows that would be missed; nil: all have.
	// Such a one is never refused. See Check.
	Empty func(old string) bool
}

// Transform is what becomes of one transform that keeps state, or is a source.
type Transform struct {
	Name    string // now; "" if it is gone
	Old     string // before; "" if it is new
	Kind    string
	At      string // file:line in the new program; "" if it is gone
	Was     string // in the old one
	Outcome Outcome
	Changes []string // what is migrated, in sentences
	Problem string   // why it is refused, or would be if its loss were not allowed

	step *migration
}

// Result is a plan.
type Result struct {
	Transforms []Transform       // the new ones in their order, then those that are gone
	others     int               // without state
	stateless  map[string]string // what they are called, by their old names
}

// Plan compares the graph that wrote the rows with the one that is to read them. It is
// pure. Whether it may be carried out, Result.Err says.
func Plan(old, new commit.Manifest, opts Options) *Result {
	p := &planner{opts: opts, byOld: map[string]*commit.Node{}, takenBy: map[string]string{}, res: &Result{stateless: map[string]string{}}}
	for i := range old.Nodes {
		p.byOld[old.Nodes[i].Name] = &old.Nodes[i]
	}
	p.news = map[string]*commit.Node{}
	for i := range new.Nodes {
		p.news[new.Nodes[i].Name] = &new.Nodes[i]
	}
	p.oldCount, p.newGroups = map[string]int{}, map[string][]*commit.Node{}
	for _, n := range old.Nodes {
		p.oldCount[unnumbered(n.Name)]++
	}
	for i := range new.Nodes {
		base := unnumbered(new.Nodes[i].Name)
		p.newGroups[base] = append(p.newGroups[base], &new.Nodes[i])
	}
	for i := range old.Nodes {
		p.takenBy[p.now(old.Nodes[i].Name)] = old.Nodes[i].Name
	}
	for _, from := range slices.Sorted(maps.Keys(opts.Renamed)) { // an explicit new name wins over an equal old one
		if p.byOld[from] != nil {
			p.takenBy[opts.Renamed[from]] = from
		}
	}
	for i := range new.Nodes {
		p.node(&new.Nodes[i])
	}
	for i := range old.Nodes {
		p.gone(&old.Nodes[i])
	}
	p.renames()
	return p.res
}

type planner struct {
	opts      Options
	byOld     map[string]*commit.Node
	news      map[string]*commit.Node
	takenBy   map[string]string // new name to old
	oldCount  map[string]int    // by name without ordinals
	newGroups map[string][]*commit.Node
	res       *Result
}

// now is what an old transform is called.
func (p *planner) now(old string) string {
	if name, ok := p.opts.Renamed[old]; ok {
		return name
	}
	return old
}

// allowed reports that the state of an old transform may go.
func (p *planner) allowed(o *commit.Node) bool {
	return p.opts.AllowDropped[o.Name] || p.opts.AllowDropped["*"] || p.empty(o)
}

func (p *planner) empty(o *commit.Node) bool {
	return !o.Source && p.opts.Empty != nil && p.opts.Empty(o.Name)
}

func keeps(n *commit.Node) bool { return n != nil && (n.Stateful || n.Source) }

// node plans a transform of the new graph.
func (p *planner) node(n *commit.Node) {
	was := p.takenBy[n.Name]
	o := p.byOld[was]
	if !keeps(n) && !keeps(o) {
		if p.res.others++; o != nil && o.Kind == n.Kind {
			p.res.stateless[was] = n.Name
		}
		return
	}
	if !keeps(n) { // its state is gone, though not its name
		return
	}
	t := Transform{Name: n.Name, Kind: n.Kind, At: n.Position}
	if !keeps(o) {
		t.Outcome = New
		p.res.Transforms = append(p.res.Transforms, t)
		return
	}
	t.Old, t.Was = was, o.Position
	c := compare(o, n)
	if c.problem == nil {
		c.problem = p.ambiguous(o, n)
	}
	switch {
	case c.problem != nil && p.empty(o):
		t.Changes, t.step = append(t.Changes, "it has no rows, and begins anew: "+c.problem.Error()), dropAll
	case c.problem != nil:
		t.Outcome, t.Problem = Refused, c.problem.Error()
		if p.allowed(o) {
			t.Outcome, t.step = Dropped, dropAll
		}
	case c.step != nil:
		t.Outcome, t.Changes, t.step = Migrated, c.changes, c.step
	default:
		t.Changes = c.changes
	}
	p.res.Transforms = append(p.res.Transforms, t)
}

// gone plans an old transform that no new one takes the state of.
func (p *planner) gone(o *commit.Node) {
	n := p.news[p.now(o.Name)]
	if !keeps(o) || keeps(n) && p.takenBy[n.Name] == o.Name {
		return
	}
	t := Transform{Old: o.Name, Kind: o.Kind, Was: o.Position, Outcome: Refused, step: dropAll}
	switch {
	case onlyClock(o): // whoever follows has a watermark of its own, which never falls
		t.Outcome = Dropped
	case n != nil && !keeps(n):
		t.Problem = fmt.Sprintf("it keeps no state now (%s at %s)", n.Kind, n.Position)
	case n != nil:
		t.Problem = fmt.Sprintf("its name now belongs to the transform that was called %q", p.takenBy[n.Name])
	case o.Source:
		t.Problem = "the pipeline does not have this source any more, and where it was read to would be forgotten"
	default:
		t.Problem = "the pipeline does not have it any more, and its state would be lost" + p.guess(o)
	}
	if p.allowed(o) {
		t.Outcome = Dropped
	}
	if p.empty(o) && t.Problem != "" {
		t.Problem = "it has no rows"
	}
	p.res.Transforms = append(p.res.Transforms, t)
}

func onlyClock(n *commit.Node) bool {
	return !n.Source && len(n.State) == 1 && strings.HasPrefix(n.State[0], graph.PartClock+" ")
}

// guess names a new transform that could take the state of one that is gone.
func (p *planner) guess(o *commit.Node) string {
	var names []string
	for name, n := range p.news {
		if keeps(n) && p.byOld[p.takenBy[name]] == nil && compare(o, n).problem == nil {
			names = append(names, name)
		}
	}
	if len(names) != 1 {
		return ""
	}
	return fmt.Sprintf("; if it is called %q now, say so", names[0])
}

// ordinals are what Graph.Add tells transforms of one name apart by.
var ordinals = regexp.MustCompile(`#\d+(/|$)`)

func unnumbered(name string) string { return ordinals.ReplaceAllString(name, "$1") }

// ambiguous is about transforms without names of their own: when one is added, nobody
// can say which of them it is.
func (p *planner) ambiguous(o, n *commit.Node) error {
	base := unnumbered(o.Name)
	group := p.newGroups[base]
	if _, said := p.opts.Renamed[o.Name]; said || len(group) <= p.oldCount[base] || onlyClock(o) {
		return nil
	}
	var others []string
	for _, other := range group {
		if other != n && compare(o, other).problem == nil {
			others = append(others, other.Position)
		}
	}
	if len(others) == 0 {
		return nil
	}
	return fmt.Errorf("it has no name of its own, there are more of its kind now than before, and its state would fit this one as well as that at %s: give them names (pipeline.Named), and say which one is %q",
		strings.Join(others, ", "), o.Name)
}

// renames refuses new names that mean nothing.
func (p *planner) renames() {
	for _, from := range slices.Sorted(maps.Keys(p.opts.Renamed)) {
		to := p.opts.Renamed[from]
		var why string
		switch {
		case p.byOld[from] == nil:
			why = fmt.Sprintf("it is said to be called %q now, but there was no such transform", to)
		case p.news[to] == nil:
			why = fmt.Sprintf("it is said to be called %q now, but the pipeline has no such transform", to)
		case p.takenBy[to] != from:
			why = fmt.Sprintf("it is said to be called %q now, and so is %q", to, p.takenBy[to])
		default:
			continue
		}
		for i := range p.res.Transforms { // instead of what else would be said about it
			if t := &p.res.Transforms[i]; t.Old == from && t.Outcome == Refused {
				t.Problem = why
				why = ""
			}
		}
		if why != "" {
			p.res.Transforms = append(p.res.Transforms, Transform{Old: from, Outcome: Refused, Problem: why})
		}
	}
}

// compared is what two versions of a transform come to.
type compared struct {
	problem error
	changes []string
	step    *migration // nil: rows stay as they are
}

func (c *compared) note(format string, a ...any) {
	c.changes = append(c.changes, fmt.Sprintf(format, a...))
}

func failed(format string, a ...any) compared { return compared{problem: fmt.Errorf(format, a...)} }

// compare finds out how the rows of o become those of n.
func compare(o, n *commit.Node) compared {
	if o.Kind != n.Kind {
		return failed("it was a %s and is a %s now", o.Kind, n.Kind)
	}
	if o.Source != n.Source {
		return failed("only one of the two versions is a source")
	}
	lo, err := LayoutOf(*o)
	if err != nil {
		return compared{problem: err}
	}
	ln, err := LayoutOf(*n)
	if err != nil {
		return compared{problem: err}
	}
	if o.Key != n.Key {
		return failed("its key was %s and is %s now, and rows are found by the bytes of their keys", typeName(lo.key), typeName(ln.key))
	}
	c := &comparison{o: o, n: n, lo: lo, ln: ln, step: &migration{old: lo, new: ln}}
	for _, f := range []func() error{c.windows, c.parts, c.sharedParts, c.parkedPart, c.otherPart} {
		if err := f(); err != nil {
			return compared{problem: err}
		}
	}
	if !c.rewrite {
		c.step = nil
	}
	return compared{changes: c.changes, step: c.step}
}

func typeName(d *coder.Description) string {
	if d == nil {
		return "nothing"
	}
	return d.String()
}

// comparison is of two versions of a transform of one kind and key.
type comparison struct {
	compared
	o, n    *commit.Node
	lo, ln  *Layout
	step    *migration
	rewrite bool
}

// windowless are the parts that do not depend on windows.
var windowless = map[string]bool{graph.PartView: true, graph.PartWriter: true, graph.PartClock: true, graph.PartHeld: true}

// windows compares what rows depend on of the windowing.
func (c *comparison) windows() error {
	if len(c.n.State) == 0 || c.ln.other != nil && windowless[c.ln.other.part.Kind] {
		return nil
	}
	was, is := parseWindowing(c.o.Windowing), parseWindowing(c.n.Windowing)
	if was.fn != is.fn {
		return fmt.Errorf("its windows were %s and are %s now, and what was kept by window fits no other", was.fn, is.fn)
	}
	if was.lateness != is.lateness {
		c.note("allowed lateness: %s becomes %s", cmp.Or(was.lateness, "none"), cmp.Or(is.lateness, "none"))
	}
	if c.ln.only() == "" || c.lo.only() == "" {
		return nil // triggers mean nothing to a Stateful
	}
	from, to := c.lo.only(), c.ln.only()
	switch {
	case from == graph.PartSliced && to != from, to == graph.PartSliced && to != from:
		return errors.New("it keeps slices of sliding windows in one of the versions only, because there it has a Merge, and neither lateness, triggers nor LateTo")
	case (from == graph.PartGrouped || from == graph.PartCombined) && to == graph.PartPaned:
		if is.trigger != "" || is.timestamps != "" {
			return fmt.Errorf("its windows fired once, and what their panes need to know (trigger %s, timestamps %s) was not kept: only lateness and LateTo can be added",
				cmp.Or(is.trigger, "default"), cmp.Or(is.timestamps, "end of window"))
		}
		c.note("windows that fired once may have further panes")
		return nil
	case from != to:
		return errors.New("its windows may have had several panes, and fire once now: which panes there were would be forgotten")
	}
	if from != graph.PartPaned && from != graph.PartMerging {
		return nil
	}
	for _, x := range []struct{ what, was, is, why string }{
		{"trigger was", cmp.Or(was.trigger, "default"), cmp.Or(is.trigger, "default"), "open windows hold the state of the former"},
		{"accumulation was", cmp.Or(was.accumulation, "discarding"), cmp.Or(is.accumulation, "discarding"), "open windows hold what the former left of them"},
		{"panes' timestamps were", cmp.Or(was.timestamps, "end of window"), cmp.Or(is.timestamps, "end of window"), "those of elements that came were not kept"},
	} {
		if x.was != x.is {
			return fmt.Errorf("its %s %s and would be %s now, and %s", x.what, x.was, x.is, x.why)
		}
	}
	if was.onTime != is.onTime {
		c.note("on-time panes: %s becomes %s", cmp.Or(was.onTime, "default"), cmp.Or(is.onTime, "default"))
	}
	if was.closing != is.closing {
		c.note("closing panes: %s becomes %s", cmp.Or(was.closing, "default"), cmp.Or(is.closing, "default"))
	}
	return nil
}

// only is the kind of the one part of a grouping's rows; "" of others.
func (l *Layout) only() string {
	if len(l.parts) != 1 {
		return ""
	}
	switch k := l.parts[0].part.Kind; k {
	case graph.PartGrouped, graph.PartCombined, graph.PartSliced, graph.PartPaned, graph.PartMerging:
		return k
	}
	return ""
}

// parts compares the parts of the rows of keys, by name.
func (c *comparison) parts() error {
	if c.lo.only() != "" && c.ln.only() != "" {
		return c.grouping()
	}
	index := map[string]int{}
	for i, s := range c.lo.parts {
		index[s.part.Name] = i
	}
	moved := len(c.lo.parts) != len(c.ln.parts)
	kept := map[string]bool{}
	for i, s := range c.ln.parts {
		was, ok := index[s.part.Name]
		if !ok {
			c.note("%s %s is added, empty", s.part.Kind, s.part.Name)
			c.step.parts = append(c.step.parts, partStep{from: -1})
			moved = true
			continue
		}
		kept[s.part.Name] = true
		moved = moved || was != i
		conv, same, err := c.cell(c.lo.parts[was], s)
		if err != nil {
			return err
		}
		c.step.parts = append(c.step.parts, partStep{was, conv})
		moved = moved || !same
	}
	for _, s := range c.lo.parts {
		if !kept[s.part.Name] {
			c.note("%s %s is dropped: no state is declared by that name any more", s.part.Kind, s.part.Name)
		}
	}
	if moved {
		if err := c.apart(); err != nil {
			return err
		}
	}
	c.rewrite = c.rewrite || moved
	return nil
}

// apart refuses to change rows that can't be taken apart.
func (c *comparison) apart() error {
	for i, s := range c.lo.parts {
		if !s.typ.Ends() && i+1 < len(c.lo.parts) {
			return fmt.Errorf("its rows are to change, and %s %s was written by a coder (%s) that is not registered in this program, so that nothing behind it can be read", s.part.Kind, s.part.Name, s.part.Coder)
		}
	}
	return nil
}

// cell compares two cells or timers of one name.
func (c *comparison) cell(o, n *shape) (conv *coder.Conversion, same bool, err error) {
	if o.part.Kind != n.part.Kind {
		return nil, false, fmt.Errorf("%s %s is a %s now: give the new one another name", o.part.Kind, o.part.Name, n.part.Kind)
	}
	conv, err = c.convert(o, n)
	if err != nil {
		return nil, false, err
	}
	same = conv.Same()
	was, is := lifetime(o), lifetime(n)
	if was != is {
		c.note("%s %s: it lives %s, and before %s; what there is goes by the time of its next write", o.part.Kind, o.part.Name, is, was)
		same = same && o.expires() == n.expires()
	}
	return conv, same && was == is, nil
}

func lifetime(s *shape) string {
	switch {
	case s.part.Has(graph.OptionTTL):
		return "for a time by the clock"
	case s.part.Has(graph.OptionEventTTL):
		return "for a time of events"
	}
	return "for ever"
}

// convert compares what two parts hold.
func (c *comparison) convert(o, n *shape) (*coder.Conversion, error) {
	conv, err := coder.Convert(o.bare, n.bare)
	if err != nil {
		if e, ok := errors.AsType[*coder.Incompatible](err); ok {
			e.Path = o.inner(e.Path)
		}
		advice := "keep what it was and add another one beside it"
		if e, ok := errors.AsType[*coder.Incompatible](err); ok && e.Path != "" {
			advice = "keep the field as it was and add another one"
		}
		return nil, fmt.Errorf("%s %s: %w; %s", o.part.Kind, o.part.Name, err, advice)
	}
	changes := slices.Clone(conv.Changes())
	for i := range changes {
		changes[i].Path = o.inner(changes[i].Path)
		c.note("%s %s: %v", o.part.Kind, o.part.Name, changes[i])
	}
	for _, was := range changes {
		for _, is := range changes {
			if was.To == "" && is.From == "" && was.From == is.To && path.Dir(slashed(was.Path)) == path.Dir(slashed(is.Path)) {
				c.note("%s %s: if field %s is called %s now, give it the tag beam:%q, else its values are lost", o.part.Kind, o.part.Name, was.Path, is.Path, path.Base(slashed(was.Path)))
			}
		}
	}
	return conv, nil
}

func slashed(fields string) string { return strings.ReplaceAll(fields, ".", "/") }

// inner is a path within the elements of a part that lists some.
func (s *shape) inner(fields string) string {
	lists := 0
	switch s.part.Kind {
	case graph.PartBag, graph.PartSet, graph.PartOrderedList, graph.PartGrouped, graph.PartView, graph.PartPanes, graph.PartHeld, graph.PartParked, graph.PartMerging:
		lists++
	}
	if s.part.Name == paneValues && (s.part.Kind == graph.PartPaned || s.part.Kind == graph.PartMerging) {
		lists++
	}
	for range lists {
		fields = strings.TrimPrefix(fields, "[]")
	}
	return strings.TrimPrefix(fields, ".")
}

// grouping compares the one part of a grouping's rows.
func (c *comparison) grouping() error {
	o, n := c.lo.parts[0], c.ln.parts[0]
	if o.part.Kind == n.part.Kind {
		conv, err := c.convert(o, n)
		c.step.parts = []partStep{{0, conv}}
		c.rewrite = err == nil && !conv.Same()
		return err
	}
	// Rows of windows that fire once become panes.
	was := *o
	was.bare = o.typ
	now := *n
	id := n.part.Coder
	if n.part.Name == paneValues {
		id = listOf(id)
	}
	var err error
	if now.bare, err = coder.Describe(id); err != nil {
		return err
	}
	conv, err := c.convert(&was, &now)
	c.step.parts, c.step.panes, c.rewrite = []partStep{{0, conv}}, true, true
	return err
}

// sharedParts compares broadcast state.
func (c *comparison) sharedParts() error {
	c.step.shared = map[string]*coder.Conversion{}
	news := map[string]*shape{}
	for _, s := range c.ln.shared {
		news[s.part.Name] = s
	}
	for _, o := range c.lo.shared {
		n := news[o.part.Name]
		if n == nil {
			c.note("%s %s is dropped: no state is declared by that name any more", o.part.Kind, o.part.Name)
			c.rewrite = true
			continue
		}
		delete(news, o.part.Name)
		conv, err := c.convert(o, n)
		if err != nil {
			return err
		}
		c.step.shared[o.part.Name] = conv
		c.rewrite = c.rewrite || !conv.Same()
	}
	for _, name := range slices.Sorted(maps.Keys(news)) {
		c.note("%s %s is added, empty", graph.PartBroadcast, name)
	}
	return nil
}

// parkedPart compares elements that wait. That they can't be converted matters only if
// some do.
func (c *comparison) parkedPart() error {
	if c.lo.parked == nil || c.ln.parked == nil {
		return nil
	}
	conv, err := coder.Convert(c.lo.parked.bare, c.ln.parked.bare)
	if err != nil {
		if e, ok := errors.AsType[*coder.Incompatible](err); ok {
			e.Path = c.lo.parked.inner(e.Path)
		}
		c.step.noParked = fmt.Errorf("elements are parked at it that its new version does not take: %w; give them to the dead letters before (end the input of the old version)", err)
		c.rewrite = true
		return nil
	}
	c.step.parked = conv
	c.rewrite = c.rewrite || !conv.Same()
	return nil
}

// otherPart compares the rows of transforms without keys.
func (c *comparison) otherPart() error {
	o, n := c.lo.other, c.ln.other
	if o == nil || n == nil {
		if o != n {
			return errors.New("its rows were of another kind")
		}
		return nil
	}
	if o.part.Kind != n.part.Kind {
		return fmt.Errorf("its rows were of another kind (%s, %s now)", o.part.Kind, n.part.Kind)
	}
	if o.part.Has(graph.OptionWindows) != n.part.Has(graph.OptionWindows) {
		return errors.New("its elements come with their windows in one of the versions only")
	}
	if was, _ := o.part.Number(graph.OptionSides); !n.part.Has(graph.WithNumber(graph.OptionSides, was)) && n.part.Kind == graph.PartWaiting {
		return fmt.Errorf("it waited for %d side inputs, and for another number now: how far those have come would be mixed up", was)
	}
	conv, err := c.convert(o, n)
	if err != nil {
		return err
	}
	c.step.other = conv
	c.rewrite = c.rewrite || !conv.Same()
	return nil
}
