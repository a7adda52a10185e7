package savepoint

import (
	"time"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/savefile"
	"github.com/millrace/millrace/internal/upgrade"
)

// Savepoint is a savepoint that is open. Its methods, and the functions that read it,
// may be called by several goroutines at once, but for Close.
type Savepoint struct {
	file  *savefile.File
	nodes []*node
}

// node is a transform as its rows are found and read.
type node struct {
	commit.Node
	stored string // its name in the file
	layout *upgrade.Layout
	err    error // why there is none: a later version may know parts that this one doesn't
}

// Transform is what a savepoint says of a transform.
type Transform struct {
	Name      string
	Kind      string // "Stateful", "GroupByKey", …
	Position  string // file:line in the program
	Windowing string
	Key       string // type of the keys of its state, in the words of Go; "" if it has none
	Cells     []Cell // of the state of a key
	Rows      int64  // of state: about one for each key and window, and one for each large state of these
	Bytes     int64  // of their keys and values
	Source    bool
}

// Cell is a part of the state of a key.
type Cell struct {
	Name  string
	Kind  string // "value", "bag", …
	Type  string // by which [Get] reads it, in the words of Go; "" if by none
	Coder string // ID of the coder of Type
}

// Open opens the savepoint at path. It reads and checks all but the state, which is
// checked as it is read.
func Open(path string) (*Savepoint, error) {
	f, err := savefile.Open(path)
	if err != nil {
		return nil, err
	}
	s := &Savepoint{file: f}
	for _, n := range f.Last().Manifest.Nodes {
		l, err := upgrade.LayoutOf(n)
		s.nodes = append(s.nodes, &node{n, n.Name, l, err})
	}
	return s, nil
}

// Close lets go of the file.
func (s *Savepoint) Close() error { return s.file.Close() }

// Name is what the savepoint was called when it was made.
func (s *Savepoint) Name() string { return s.file.Facts().Name }

// Created is when it was made, in UTC.
func (s *Savepoint) Created() time.Time { return s.file.Facts().Created }

// Epoch is which of its job's checkpoints it holds.
func (s *Savepoint) Epoch() uint64 { return s.file.Last().Epoch }

// Parallelism is by how many lanes the job ran.
func (s *Savepoint) Parallelism() int { return s.file.Last().Lanes }

// Check reads everything, and fails if a single byte is not what was written.
func (s *Savepoint) Check() error { return s.file.Check() }

// Transforms are those of the pipeline, in the order in which it was built.
func (s *Savepoint) Transforms() []Transform {
	list := make([]Transform, len(s.nodes))
	for i, n := range s.nodes {
		size := s.file.Size(n.stored)
		list[i] = Transform{
			Name: n.Name, Kind: n.Kind, Position: n.Position, Windowing: n.Windowing,
			Rows: size.Rows, Bytes: size.Bytes, Source: n.Source,
		}
		if n.err != nil {
			continue
		}
		list[i].Cells = cellsOf(n.layout)
		if k := n.layout.KeyType(); k != nil {
			list[i].Key = k.String()
		}
	}
	return list
}

func cellsOf(l *upgrade.Layout) (cells []Cell) {
	for _, p := range l.Parts() {
		c := Cell{Name: p.Name, Kind: p.Kind}
		if id, _, ok := p.GoType(); ok {
			c.Coder, c.Type = id, goType(id)
		}
		cells = append(cells, c)
	}
	return cells
}
