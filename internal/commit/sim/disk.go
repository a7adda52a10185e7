package sim

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"syscall"

	"github.com/millrace/millrace/internal/statelog"
)

// Disk is one folder that outlives crashes. What was written is volatile until it
// is synced: a file's content by its Sync, its name by SyncDir. It is a statelog.FS.
//
// Invariant: what a crash leaves of a file begins with the first synced bytes of it.
type Disk struct {
	names   map[string]*inode // as a process sees them
	durable map[string]*inode // as of the last SyncDir
	pending []nameChange      // since then
	locked  string            // the lock that a process holds; "" if none
	life    int               // counts crashes: handles of an earlier life are dead
	at      *handle           // that writes is being written to; nil: nothing is
	writes  []byte

	// Before is called before each call has its effect; it may panic to crash.
	Before func(op Op, name string)
	// Full is how many more writes find the disk full.
	Full int
	// Bad is how many more syncs fail, and lose what they should have kept.
	Bad int
}

// inode is a file, whatever its names are.
type inode struct {
	data   []byte
	synced int    // so much of data is durable
	old    []byte // what was durable before the file was emptied, until the next sync
	lost   bool   // a sync has failed: later ones succeed and do nothing
}

// nameChange is a change of the folder that may be lost until SyncDir.
type nameChange struct {
	remove, add string // "": none
	file        *inode // that add names
}

// Op is a call of the file system.
type Op uint8

// The calls that may be crashed.
const (
	OpCreate Op = iota
	OpWrite
	OpSync
	OpSyncDir
	OpRename
	OpRemove
	OpOpen
	OpRead
	OpList
	OpLock
)

func (o Op) String() string {
	return [...]string{"create", "write", "sync", "sync dir", "rename", "remove", "open", "read", "list", "lock"}[o]
}

var (
	errDead = errors.New("sim: this process has crashed")
	errIO   = syscall.EIO
)

// NewDisk is an empty folder.
func NewDisk() *Disk {
	return &Disk{names: map[string]*inode{}, durable: map[string]*inode{}, Before: func(Op, string) {}}
}

var _ statelog.FS = (*Disk)(nil)

// handle is an open file of one life.
type handle struct {
	d      *Disk
	life   int
	name   string
	f      *inode
	closed bool
}

// Create implements statelog.FS.
func (d *Disk) Create(name string) (statelog.File, error) {
	life := d.life
	d.Before(OpCreate, name)
	if life != d.life {
		return nil, errDead
	}
	f := d.names[name]
	if f == nil {
		f = &inode{}
		d.names[name] = f
		d.pending = append(d.pending, nameChange{add: name, file: f})
	} else {
		if f.old == nil {
			f.old = f.data[:f.synced:f.synced]
		}
		f.data, f.synced = nil, 0
	}
	return &handle{d: d, life: life, name: name, f: f}, nil
}

func (h *handle) dead() bool { return h.closed || h.life != h.d.life }

// Write implements io.Writer. On a full disk half of p may still find room.
func (h *handle) Write(p []byte) (int, error) {
	h.d.at, h.d.writes = h, p
	h.d.Before(OpWrite, h.name)
	h.d.at = nil
	if h.dead() {
		return 0, errDead
	}
	if h.d.Full > 0 {
		h.d.Full--
		n := len(p) / 2 * (h.d.Full % 2)
		h.f.data = append(h.f.data, p[:n]...)
		return n, syscall.ENOSPC
	}
	h.f.data = append(h.f.data, p...)
	return len(p), nil
}

// Sync implements statelog.File.
func (h *handle) Sync() error {
	h.d.Before(OpSync, h.name)
	if h.dead() {
		return errDead
	}
	return h.f.sync(h.d)
}

func (f *inode) sync(d *Disk) error {
	if d.Bad > 0 {
		d.Bad--
		f.lost = true
		return errIO
	}
	if !f.lost {
		f.synced, f.old = len(f.data), nil
	}
	return nil
}

// Close implements io.Closer.
func (h *handle) Close() error {
	if h.dead() {
		return errDead
	}
	h.closed = true
	return nil
}

// Open implements statelog.FS.
func (d *Disk) Open(name string) (statelog.ReadFile, error) {
	life := d.life
	d.Before(OpOpen, name)
	if life != d.life {
		return nil, errDead
	}
	f := d.names[name]
	if f == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &handle{d: d, life: life, name: name, f: f}, nil
}

// Size implements statelog.ReadFile.
func (h *handle) Size() int64 { return int64(len(h.f.data)) }

// ReadAt implements io.ReaderAt.
func (h *handle) ReadAt(p []byte, off int64) (int, error) {
	h.d.Before(OpRead, h.name)
	if h.dead() {
		return 0, errDead
	}
	if off >= int64(len(h.f.data)) {
		return 0, io.EOF
	}
	n := copy(p, h.f.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// List implements statelog.FS.
func (d *Disk) List() ([]string, error) {
	life := d.life
	d.Before(OpList, "")
	if life != d.life {
		return nil, errDead
	}
	return d.sorted(), nil
}

func (d *Disk) sorted() []string {
	names := make([]string, 0, len(d.names))
	for n := range d.names {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Rename implements statelog.FS.
func (d *Disk) Rename(from, to string) error {
	life := d.life
	d.Before(OpRename, from)
	if life != d.life {
		return errDead
	}
	f := d.names[from]
	if f == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	delete(d.names, from)
	d.names[to] = f
	d.pending = append(d.pending, nameChange{remove: from, add: to, file: f})
	return nil
}

// Remove implements statelog.FS.
func (d *Disk) Remove(name string) error {
	life := d.life
	d.Before(OpRemove, name)
	if life != d.life {
		return errDead
	}
	if d.names[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	delete(d.names, name)
	d.pending = append(d.pending, nameChange{remove: name})
	return nil
}

// SyncDir implements statelog.FS.
func (d *Disk) SyncDir() error {
	life := d.life
	d.Before(OpSyncDir, "")
	if life != d.life {
		return errDead
	}
	if d.Bad > 0 {
		d.Bad--
		return errIO
	}
	for _, c := range d.pending {
		c.apply(d.durable)
	}
	d.pending = d.pending[:0]
	return nil
}

func (c nameChange) apply(names map[string]*inode) {
	if c.remove != "" {
		delete(names, c.remove)
	}
	if c.add != "" {
		names[c.add] = c.file
	}
}

type lock struct {
	d    *Disk
	life int
	name string
}

// Lock implements statelog.FS.
func (d *Disk) Lock(name string) (io.Closer, error) {
	life := d.life
	d.Before(OpLock, name)
	if life != d.life {
		return nil, errDead
	}
	if d.locked == name {
		return nil, errors.New("sim: the lock is taken")
	}
	d.locked = name
	return lock{d, d.life, name}, nil
}

func (l lock) Close() error {
	if l.life == l.d.life {
		l.d.locked = ""
	}
	return nil
}

// Halt makes all that a dying process does from here on fail.
func (d *Disk) Halt() { d.life++ }

// Interrupt is called when a process dies, before Kill or PowerLoss: of what it was
// writing, some is written.
func (d *Disk) Interrupt(r *rand.Rand) {
	if d.at != nil && !d.at.closed && d.Full == 0 {
		d.at.f.data = append(d.at.f.data, d.writes[:r.IntN(len(d.writes)+1)]...)
	}
	d.at = nil
}

// Kill ends the process and leaves the machine: nothing that was written is lost yet.
// But what a failed sync has lost stays lost, whoever syncs later.
func (d *Disk) Kill() {
	d.life++
	d.locked, d.Full, d.Bad = "", 0, 0
}

// PowerLoss ends the process and the machine. Of what was not synced, r says what is left.
func (d *Disk) PowerLoss(r *rand.Rand) {
	d.Kill()
	keep := r.IntN(4) // 0: no change of names, 1: all, 2: a prefix, 3: any
	n := len(d.pending)
	if keep == 2 {
		n = r.IntN(n + 1)
	}
	for i, c := range d.pending {
		if keep == 1 || keep == 2 && i < n || keep == 3 && r.IntN(2) == 0 {
			c.apply(d.durable)
		}
	}
	d.pending = d.pending[:0]
	clear(d.names)
	torn := map[*inode]bool{}
	names := make([]string, 0, len(d.durable))
	for n := range d.durable {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		f := d.durable[n]
		d.names[n] = f
		if !torn[f] {
			torn[f] = true
			f.tear(r)
		}
	}
}

// tear leaves what is durable, and some of what is not.
func (f *inode) tear(r *rand.Rand) {
	defer func() { f.synced, f.old, f.lost = len(f.data), nil, false }()
	if f.old != nil && r.IntN(3) == 0 { // emptied, but the disk has not heard of it
		f.data = f.old
		return
	}
	loose := f.data[f.synced:]
	if len(loose) == 0 {
		return
	}
	f.data = slices.Clone(f.data)
	loose = f.data[f.synced:]
	switch r.IntN(5) {
	case 0: // all lost
		f.data = f.data[:f.synced]
	case 1: // all kept
	case 2: // torn at any byte
		f.data = f.data[:f.synced+r.IntN(len(loose)+1)]
	case 3: // the length is kept, the content is not
		clear(loose[r.IntN(len(loose)):])
	case 4: // sectors in any order
		sector := 1 << (3 + r.IntN(7))
		end := 0
		for at := 0; at < len(loose); at += sector {
			next := min(at+sector, len(loose))
			if r.IntN(2) == 0 {
				end = next
			} else {
				clear(loose[at:next])
			}
		}
		f.data = f.data[:f.synced+end]
	}
}

// Flip damages one byte of a durable file. It is called between two lives. It
// reports what it has damaged; "" if there is nothing.
func (d *Disk) Flip(r *rand.Rand) (name string, at int) {
	var names []string
	for _, n := range d.sorted() {
		if d.names[n].synced > 0 {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		return "", 0
	}
	name = names[r.IntN(len(names))]
	f := d.names[name]
	at = r.IntN(f.synced)
	f.data = slices.Clone(f.data)
	f.data[at] ^= byte(1 + r.IntN(255))
	return name, at
}

// sizes are those of all files.
func (d *Disk) sizes() map[string]int {
	m := make(map[string]int, len(d.names))
	for n, f := range d.names {
		m[n] = len(f.data)
	}
	return m
}

// Size is how many bytes and files a process sees.
func (d *Disk) Size() (bytes, files int) {
	for _, f := range d.names {
		bytes += len(f.data)
	}
	return bytes, len(d.names)
}
