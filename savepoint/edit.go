package savepoint

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/savefile"
	"github.com/millrace/millrace/internal/upgrade"
	"github.com/millrace/millrace/window"
)

// Edit is a list of changes to a savepoint, which itself stays as it is. Changed rows
// are kept in memory until [Edit.Save]. An Edit is for one goroutine.
type Edit struct {
	s       *Savepoint
	nodes   []*node           // those that stay, by their new names
	changed map[rowID]*[]byte // rows by their names in the file; nil: gone
	renamed bool              // or dropped: the graph is no longer the one that ran
}

type rowID struct {
	node  string
	group int
	key   string
}

// Edit begins a list of changes. The savepoint has to stay open until Save.
func (s *Savepoint) Edit() *Edit {
	e := &Edit{s: s, changed: map[rowID]*[]byte{}}
	for _, n := range s.nodes {
		c := *n
		e.nodes = append(e.nodes, &c)
	}
	return e
}

// row reads a row as it has been edited; ok is false if there is none.
func (e *Edit) row(id rowID) (val []byte, ok bool, err error) {
	if v, ok := e.changed[id]; ok {
		if v == nil {
			return nil, false, nil
		}
		return *v, true, nil
	}
	return e.s.file.Get(id.node, id.group, []byte(id.key), nil)
}

// Set makes v what a cell holds for a key, in the global window. The other cells of the
// key stay. Equal types as in [Get] are wanted.
func Set[K comparable, V any](e *Edit, transform, cell string, key K, v V) error {
	return SetIn(e, transform, cell, window.Global, key, v)
}

// SetIn is [Set] in a window.
func SetIn[K comparable, V any](e *Edit, transform, cell string, w window.Interval, key K, v V) error {
	c, err := cellOf[K, V](e.nodes, transform, cell)
	if err != nil {
		return fmt.Errorf("set: %w", err)
	}
	group, name := c.row(key, w)
	id := rowID{c.n.stored, group, string(name)}
	val, ok, err := e.row(id)
	if err != nil {
		return err
	}
	var row upgrade.Entry
	var part *rowID
	if ok {
		row, part, err = c.whole(e, group, w, name, val)
	} else {
		row, err = c.n.layout.Zero(w, c.key.Append(nil, key))
	}
	if err != nil {
		return fmt.Errorf("set: %w", err)
	}
	if err := c.set(&row, &v); err != nil {
		return fmt.Errorf("set: %w", err)
	}
	return e.put(c.n, id, row, part)
}

// Clear makes a cell hold nothing for a key, in the global window; the other cells
// stay. The accumulator of a combine becomes the zero value of its type: [Delete]
// removes the key.
func Clear[K comparable, V any](e *Edit, transform, cell string, key K) error {
	return ClearIn[K, V](e, transform, cell, window.Global, key)
}

// ClearIn is [Clear] in a window.
func ClearIn[K comparable, V any](e *Edit, transform, cell string, w window.Interval, key K) error {
	c, err := cellOf[K, V](e.nodes, transform, cell)
	if err != nil {
		return fmt.Errorf("clear: %w", err)
	}
	group, name := c.row(key, w)
	id := rowID{c.n.stored, group, string(name)}
	val, ok, err := e.row(id)
	if err != nil || !ok {
		return err
	}
	row, part, err := c.whole(e, group, w, name, val)
	if err != nil {
		return fmt.Errorf("clear: %w", err)
	}
	if err := c.set(&row, nil); err != nil {
		return err
	}
	return e.put(c.n, id, row, part)
}

// whole takes a row apart to change the cell, which lies in it then, whatever its size: a
// run gives it a row of its own again when it changes there. part is the row that it lay
// in; nil if it was no other.
func (c *cell[K, V]) whole(e *Edit, group int, w window.Interval, name, val []byte) (row upgrade.Entry, part *rowID, err error) {
	if row, err = c.n.layout.Split(name, val); err != nil {
		return row, nil, err
	}
	key, ok := c.apart(&row, w)
	if !ok {
		return row, nil, nil
	}
	part = &rowID{c.n.stored, group, string(key)}
	val, ok, err = e.row(*part)
	if err == nil && !ok {
		err = fmt.Errorf("cell %q of %q is missing in the savepoint", c.name, c.n.Name)
	}
	if err != nil {
		return row, nil, err
	}
	own, err := c.n.layout.Split(key, val)
	if err == nil {
		err = c.n.layout.Gather(&row, own.Parts[0])
	}
	return row, part, err
}

// put puts a row that was changed, instead of the one of a part that lies in it now.
func (e *Edit) put(n *node, id rowID, row upgrade.Entry, part *rowID) error {
	if part != nil {
		e.changed[*part] = nil
	}
	if row.Empty() {
		e.changed[id] = nil
		return nil
	}
	key, val, err := n.layout.Join(row)
	if err != nil {
		return err
	}
	if string(key) != id.key {
		panic(fmt.Sprintf("BUG: savepoint: row %x was put together as %x", id.key, key))
	}
	e.changed[id] = &val
	return nil
}

// Delete removes all that a transform keeps for a key, timers included, in every
// window. Elements of the key that are parked stay.
func Delete[K comparable](e *Edit, transform string, key K) error {
	c, err := keyOf[K](e.nodes, transform)
	if err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	group, kb := c.group(key), c.key.Append(nil, key)
	remove := func(name, val []byte) error {
		if row, err := c.n.layout.Split(name, val); err != nil {
			return err
		} else if (row.Kind == upgrade.KeyRow || row.Kind == upgrade.PartRow) && string(row.Key) == string(kb) {
			e.changed[rowID{c.n.stored, group, string(name)}] = nil
		}
		return nil
	}
	for id, val := range e.changed {
		if id.node == c.n.stored && id.group == group && val != nil {
			if err := remove([]byte(id.key), *val); err != nil {
				return fmt.Errorf("delete: %w", err)
			}
		}
	}
	if err := e.s.file.Scan(c.n.stored, group, nil, remove); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	return nil
}

// Rename gives a transform another name, so that its state is found by a pipeline that
// has renamed it; or a scope, with all transforms in it.
func (e *Edit) Rename(old, new string) error {
	names := map[string]bool{}
	for _, n := range e.nodes {
		names[n.Name] = true
	}
	targets := map[*node]string{}
	for _, n := range e.nodes {
		if n.Name == old {
			targets[n] = new
		} else if rest, ok := strings.CutPrefix(n.Name, old+"/"); ok {
			targets[n] = new + "/" + rest
		}
	}
	if len(targets) == 0 {
		return fmt.Errorf("rename: there is no transform or scope %q", old)
	}
	for n := range targets {
		delete(names, n.Name)
	}
	for _, name := range slices.Sorted(maps.Values(targets)) {
		if names[name] || name == "" {
			return fmt.Errorf("rename %q: there is a transform %q already", old, name)
		}
	}
	for n, name := range targets {
		n.Name = name
	}
	e.renamed = true
	return nil
}

// Drop removes a transform with all of its state, of a source how far it was read: a
// pipeline that has it begins it anew.
func (e *Edit) Drop(transform string) error {
	n, err := findNode(e.nodes, transform)
	if err != nil {
		return fmt.Errorf("drop: %w", err)
	}
	e.nodes = slices.DeleteFunc(e.nodes, func(o *node) bool { return o == n })
	e.renamed = true
	return nil
}

// Save writes the edited savepoint to path, which must not be there yet, and should
// end in ".savepoint". When it returns nil the file is durable.
func (e *Edit) Save(path string) error {
	f := e.s.file
	facts := f.Facts()
	facts.Created = time.Now()
	facts.Name = strings.TrimSuffix(filepath.Base(path), savefile.Suffix)
	facts.Backend = "edited"
	names := map[string]string{} // new by stored
	for _, n := range e.nodes {
		names[n.stored] = n.Name
	}
	return savefile.Create(path, facts, e.record(names), func(row func(commit.Row) error) error {
		err := f.Rows(commit.Want{}, func(r commit.Row) error {
			if r.Group >= 0 {
				if _, ok := e.changed[rowID{r.Node, r.Group, string(r.Key)}]; ok {
					return nil
				}
			}
			name, ok := names[r.Node]
			if !ok {
				return nil
			}
			r.Node = name
			return row(r)
		})
		if err != nil {
			return err
		}
		for id, val := range e.changed {
			name, ok := names[id.node]
			if !ok || val == nil {
				continue
			}
			if err := row(commit.Row{Node: name, Lane: -1, Group: id.group, Key: []byte(id.key), Val: *val}); err != nil {
				return err
			}
		}
		return nil
	})
}

// record is that of the edited savepoint; names are the new ones of transforms that stay.
func (e *Edit) record(names map[string]string) *commit.Record {
	rec := *e.s.file.Last()
	rec.Manifest.Nodes = nil
	for _, n := range e.nodes {
		rec.Manifest.Nodes = append(rec.Manifest.Nodes, n.Node)
	}
	if e.renamed {
		rec.Manifest.Hash = 0 // of no graph that ever ran
	}
	rec.Splits = map[string][]commit.Split{}
	for root, splits := range e.s.file.Last().Splits {
		if name, ok := names[root]; ok {
			rec.Splits[name] = splits
		}
	}
	rec.Times = nil
	for _, t := range e.s.file.Last().Times {
		if name, ok := names[t.Node]; ok {
			t.Node = name
			rec.Times = append(rec.Times, t)
		}
	}
	return &rec
}
