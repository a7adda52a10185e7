package runners

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/upgrade"
	"github.com/millrace/millrace/window"
)

// look opens what a state command is about.
func (c *call) look(more func(fs *flag.FlagSet)) (*source, error) {
	ref, err := c.reference(more)
	if err != nil {
		return nil, err
	}
	return c.open(ref)
}

// reference takes what a command is about from its arguments: -savepoint, or a file in
// front of the others; "" is the state of the job.
func (c *call) reference(more func(fs *flag.FlagSet)) (ref string, err error) {
	err = c.options(func(fs *flag.FlagSet) {
		fs.StringVar(&ref, "savepoint", "", "")
		more(fs)
	})
	if err == nil && ref == "" {
		ref = c.savepointArg()
	}
	return ref, err
}

func noMore(*flag.FlagSet) {}

// transformLine is what "state ls" prints of a transform.
type transformLine struct {
	Transform string   `json:"transform"`
	Kind      string   `json:"kind"`
	Position  string   `json:"position"`
	Key       string   `json:"key,omitempty"`
	State     []string `json:"state"`
	Rows      int64    `json:"rows"`
	Bytes     int64    `json:"bytes"`
}

func stateList(c *call) error {
	s, err := c.look(noMore)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := c.wants(0, 0); err != nil {
		return err
	}
	sizes, err := s.sizes()
	if err != nil {
		return err
	}
	for _, n := range s.Last().Manifest.Nodes {
		size := sizes[n.Name]
		if !n.Stateful && size.Rows == 0 {
			continue
		}
		line := transformLine{Transform: n.Name, Kind: n.Kind, Position: n.Position, Rows: size.Rows, Bytes: size.Bytes}
		line.Key, line.State = types(n)
		if err := c.line(line); err != nil {
			return err
		}
	}
	return nil
}

// types are those of the keys and the state of a transform, in the words of Go; of one
// that a later version declared, what it says of itself.
func types(n commit.Node) (key string, state []string) {
	l, err := upgrade.LayoutOf(n)
	if err != nil {
		return n.Key, n.State
	}
	if l.KeyType() != nil {
		key = l.KeyType().String()
	}
	state = []string{}
	for _, p := range l.Parts() {
		typ, _ := p.Content()
		if id, _, ok := p.GoType(); ok {
			if d, err := coder.Describe(id); err == nil {
				typ = d
			}
		}
		state = append(state, p.Kind+" "+p.Name+" "+typ.String())
	}
	return key, state
}

// splitLine is what "state splits" prints of a piece of a source.
type splitLine struct {
	Transform string `json:"transform"`
	Split     string `json:"split"`
	Done      bool   `json:"done"`
	Lane      *int   `json:"lane,omitempty"` // that had it open
	Position  []byte `json:"position,omitempty"`
}

func stateSplits(c *call) error {
	s, err := c.look(noMore)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := c.wants(0, 0); err != nil {
		return err
	}
	for _, n := range s.Last().Manifest.Nodes {
		for _, split := range s.Last().Splits[n.Name] {
			line := splitLine{Transform: n.Name, Split: split.ID, Done: split.Done, Position: split.Pos}
			if split.Lane >= 0 {
				line.Lane = &split.Lane
			}
			if err := c.line(line); err != nil {
				return err
			}
		}
	}
	return nil
}

// node is a transform by name, with its layout; the error says what there is.
func (s *source) node(name string) (*upgrade.Layout, error) {
	var names []string
	for _, n := range s.Last().Manifest.Nodes {
		if n.Name == name {
			return upgrade.LayoutOf(n)
		}
		if n.Stateful {
			names = append(names, strconv.Quote(n.Name))
		}
	}
	if names == nil {
		return nil, fmt.Errorf("there is no transform %q in %s, and none that keeps state", name, s.where)
	}
	return nil, fmt.Errorf("there is no transform %q in %s; state is kept by %s", name, s.where, strings.Join(names, ", "))
}

// checkCell fails if a layout has no part of that name.
func checkCell(l *upgrade.Layout, transform, cell string) error {
	var names []string
	for _, p := range l.Parts() {
		if p.Name == cell {
			return nil
		}
		names = append(names, strconv.Quote(p.Name))
	}
	if names == nil {
		return fmt.Errorf("%q keeps no state by key, so no %q", transform, cell)
	}
	return fmt.Errorf("%q has no %q; it has %s", transform, cell, strings.Join(names, ", "))
}

// only leaves the part of that name in e; false if it has none.
func only(e *upgrade.Entry, cell string) bool {
	for _, p := range e.Parts {
		if p.Name == cell {
			e.Parts = []upgrade.Part{p}
			return e.Kind == upgrade.KeyRow || e.Kind == upgrade.PartRow
		}
	}
	return false
}

// entry prints a row as one line of JSON.
func (c *call) entry(r *commit.Row, e *upgrade.Entry) error {
	head := struct {
		Transform string `json:"transform"`
		Lane      *int   `json:"lane,omitempty"`
	}{Transform: r.Node}
	if r.Group < 0 {
		head.Lane = &r.Lane
	}
	if e.Window != nil && *e.Window == window.Global {
		e.Window = nil // says nothing
	}
	line, err := json.Marshal(head)
	if err != nil {
		return err
	}
	body, err := e.AppendJSON(nil)
	if err != nil {
		return fmt.Errorf("show a row of %q: %w", r.Node, err)
	}
	line = append(append(line[:len(line)-1], ','), body[1:]...)
	_, err = c.out.Write(append(line, '\n'))
	return err
}

func stateDump(c *call) error {
	var cell string
	s, err := c.look(func(fs *flag.FlagSet) { fs.StringVar(&cell, "cell", "", "") })
	if err != nil {
		return err
	}
	defer s.Close()
	if err := c.wants(0, 1); err != nil {
		return err
	}
	if len(c.args) == 1 {
		l, err := s.node(c.args[0])
		if err != nil {
			return err
		}
		if cell != "" {
			if err := checkCell(l, c.args[0], cell); err != nil {
				return err
			}
		}
	}
	for _, n := range s.Last().Manifest.Nodes {
		if len(c.args) == 1 && n.Name != c.args[0] {
			continue
		}
		l, err := upgrade.LayoutOf(n)
		if err != nil {
			return err
		}
		err = s.Rows(commit.Want{Node: func(name string) bool { return name == n.Name }}, func(r commit.Row) error {
			if err := c.ctx.Err(); err != nil {
				return err
			}
			e, err := l.Split(r.Key, r.Val)
			if err != nil {
				return err
			}
			if cell != "" && !only(&e, cell) {
				return nil
			}
			return c.entry(&r, &e)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// errNothing says that a key has no state.
var errNothing = errors.New("nothing is kept for that key")

func stateGet(c *call) error {
	s, err := c.look(noMore)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := c.wants(2, 3); err != nil {
		return err
	}
	transform, cell, text := c.args[0], "", c.args[len(c.args)-1]
	l, err := s.node(transform)
	if err != nil {
		return err
	}
	if len(c.args) == 3 {
		cell = c.args[1]
		if err := checkCell(l, transform, cell); err != nil {
			return err
		}
	}
	if l.KeyType() == nil {
		return fmt.Errorf("%q keeps no state by key: state dump shows what it has", transform)
	}
	key, err := l.KeyType().FromJSON(nil, []byte(text))
	if err != nil {
		quoted, _ := json.Marshal(text) // so that strings may go without their quotes
		var second error
		if key, second = l.KeyType().FromJSON(nil, quoted); second != nil {
			return c.misused("%s is no key of %q: these are %s, written as JSON (%v)", text, transform, l.KeyType(), err)
		}
	}
	found := false
	// Which group a key is in depends on its Go type, which isn't here: all are looked at.
	err = s.Rows(commit.Want{Node: func(name string) bool { return name == transform }, Lane: func(int) bool { return false }}, func(r commit.Row) error {
		if r.Group < 0 || !bytes.HasSuffix(r.Key, key) {
			return nil
		}
		e, err := l.Split(r.Key, r.Val)
		if err != nil || e.Kind == upgrade.SharedRow || e.Kind == upgrade.LaneRow || !bytes.Equal(e.Key, key) {
			return err
		}
		if cell != "" && !only(&e, cell) {
			return nil
		}
		found = true
		return c.entry(&r, &e)
	})
	if err == nil && !found {
		err = errNothing
	}
	return err
}
