package sim

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"strings"
	"syscall"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/statelog"
)

// mini is the least store that is right: a file for each epoch, and all that is
// believed is written again when it is opened. The simulation is tested by it.
type mini struct {
	fs    statelog.FS
	wait  func() error
	rec   *commit.Record
	rows  map[rowID]string
	files []string

	broken error // a failure that leaves open what is on the disk
}

type miniFile struct {
	Rec *commit.Record
	Ops []miniOp
}

type miniOp struct {
	Kind     byte
	Node     string
	Lane     int
	Group    int
	Key, Val []byte
}

func openMini(e Env) (commit.Store, error) {
	fs := e.FS
	if _, err := fs.Lock("LOCK"); err != nil {
		return nil, err
	}
	m := &mini{fs: fs, wait: e.Wait, rows: map[rowID]string{}}
	names, err := fs.List()
	if err != nil {
		return nil, err
	}
	bad := 0
	for _, n := range slices.Backward(names) {
		if !strings.HasPrefix(n, "e-") {
			continue
		}
		f, err := m.read(n)
		if err != nil {
			return nil, err
		}
		if f != nil {
			m.apply(f)
			m.files = []string{n}
			break
		}
		e.Warn(n + " is damaged, or torn")
		if bad++; bad > 1 {
			return nil, errors.New("several damaged epochs")
		}
		if err := fs.Remove(n); err != nil {
			return nil, err
		}
	}
	if m.rec == nil && bad > 0 && slices.Contains(names, "begun") {
		return nil, errors.New("all epochs are gone")
	}
	if err := fs.SyncDir(); err != nil {
		return nil, err
	}
	if m.rec != nil { // what was read may not be durable
		if err := m.write(m.files[len(m.files)-1], &miniFile{m.rec, m.all()}); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *mini) read(name string) (*miniFile, error) {
	r, err := m.fs.Open(name)
	if err != nil {
		return nil, err
	}
	b := make([]byte, r.Size())
	if _, err := r.ReadAt(b, 0); err != nil && err != io.EOF {
		return nil, err
	}
	if len(b) < 4 {
		return nil, nil
	}
	body := b[:len(b)-4]
	c := crc32.ChecksumIEEE(body)
	if string(b[len(b)-4:]) != string([]byte{byte(c), byte(c >> 8), byte(c >> 16), byte(c >> 24)}) {
		return nil, nil
	}
	f := &miniFile{}
	return f, json.Unmarshal(body, f)
}

func (m *mini) write(name string, f *miniFile) error {
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	c := crc32.ChecksumIEEE(b)
	b = append(b, byte(c), byte(c>>8), byte(c>>16), byte(c>>24))
	w, err := m.fs.Create("tmp")
	if err != nil {
		return err
	}
	for len(b) > 0 {
		n, err := w.Write(b)
		b = b[n:]
		if errors.Is(err, syscall.ENOSPC) {
			if err := m.wait(); err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
	}
	if err := w.Sync(); err != nil {
		return errors.Join(err, m.fs.Remove("tmp"))
	}
	if err := m.fs.Rename("tmp", name); err != nil {
		return err
	}
	m.broken = m.fs.SyncDir()
	return m.broken
}

func (m *mini) apply(f *miniFile) {
	m.rows = applied(map[rowID]string{}, f.Ops)
	m.rec = f.Rec
}

func applied(rows map[rowID]string, ops []miniOp) map[rowID]string {
	for _, o := range ops {
		k := id(o.Node, o.Lane, o.Group, o.Key)
		switch o.Kind {
		case 0:
			rows[k] = string(o.Val)
		case 1:
			rows[k] += string(o.Val)
		case 2:
			delete(rows, k)
		}
	}
	return rows
}

func (m *mini) all() []miniOp { return opsOf(m.rows) }

func opsOf(rows map[rowID]string) (ops []miniOp) {
	for k, v := range rows {
		ops = append(ops, miniOp{0, k.node, k.lane, k.group, []byte(k.key), []byte(v)})
	}
	slices.SortFunc(ops, func(a, b miniOp) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Lane, b.Lane), bytes.Compare(a.Key, b.Key))
	})
	return ops
}

func (m *mini) Last() *commit.Record { return m.rec }
func (m *mini) WantsWhole() bool     { return false }
func (m *mini) Close() error         { return nil }

func (m *mini) Rows(want commit.Want, f func(commit.Row) error) error {
	if m.broken != nil {
		return m.broken
	}
	for k, v := range m.rows {
		if k.group == commit.LaneBound && want.Lane != nil && !want.Lane(k.lane) || k.group >= 0 && want.Group != nil && !want.Group(k.group) {
			continue
		}
		if err := f(commit.Row{Node: k.node, Lane: k.lane, Group: k.group, Key: []byte(k.key), Val: []byte(v)}); err != nil {
			return err
		}
	}
	return nil
}

func (m *mini) Begin(lanes int) commit.Epoch { return &miniEpoch{m: m, lanes: make([]miniLane, lanes)} }

type miniEpoch struct {
	m       *mini
	whole   bool
	relaned bool
	lanes   []miniLane
}

type miniLane struct {
	lane int
	node string
	ops  []miniOp
}

func (e *miniEpoch) Whole()   { e.whole = true }
func (e *miniEpoch) Relaned() { e.relaned = true }
func (e *miniEpoch) Discard() {}
func (e *miniEpoch) Lane(lane int) commit.LaneWriter {
	e.lanes[lane].lane = lane
	return &e.lanes[lane]
}

func (e *miniEpoch) Commit(rec *commit.Record) error {
	m := e.m
	rec.Epoch = 1
	if m.rec != nil {
		rec.Epoch = m.rec.Epoch + 1
	}
	rows := map[rowID]string{}
	if !e.whole {
		rows = maps.Clone(m.rows)
	}
	if e.relaned {
		maps.DeleteFunc(rows, func(r rowID, _ string) bool { return r.lane >= 0 })
	}
	for _, l := range e.lanes {
		rows = applied(rows, l.ops)
	}
	f := &miniFile{rec, opsOf(rows)}
	name := fmt.Sprintf("e-%08d", rec.Epoch)
	if err := m.write(name, f); err != nil {
		return err
	}
	m.apply(f)
	if m.files = append(m.files, name); len(m.files) > 2 {
		if err := m.fs.Remove(m.files[0]); err != nil {
			return err
		}
		m.files = m.files[1:]
	}
	return nil
}

func (l *miniLane) Node(name string) { l.node = name }
func (l *miniLane) Put(group int, key, val []byte) {
	l.ops = append(l.ops, miniOp{0, l.node, l.lane, group, key, val})
}
func (l *miniLane) Append(group int, key, val []byte) {
	l.ops = append(l.ops, miniOp{1, l.node, l.lane, group, key, val})
}
func (l *miniLane) Delete(group int, key []byte) {
	l.ops = append(l.ops, miniOp{2, l.node, l.lane, group, key, nil})
}

// openForgetful opens a store that forgets deletions.
func openForgetful(e Env) (commit.Store, error) {
	s, err := openMini(e)
	if err != nil {
		return nil, err
	}
	return forgetful{s}, nil
}

type forgetful struct{ commit.Store }

func (f forgetful) Begin(lanes int) commit.Epoch { return forgetfulEpoch{f.Store.Begin(lanes)} }

type forgetfulEpoch struct{ commit.Epoch }

func (e forgetfulEpoch) Lane(lane int) commit.LaneWriter { return forgetfulLane{e.Epoch.Lane(lane)} }

type forgetfulLane struct{ commit.LaneWriter }

func (forgetfulLane) Delete(int, []byte) {}
