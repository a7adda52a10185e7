package main

import (
	"encoding/gob"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
)

// What a writer is told.
const (
	taken = iota + 1
	refused
)

// watch is who looks at what the job shows.
type watch struct {
	listener net.Listener
	work     sync.WaitGroup

	mu     sync.Mutex // guards what follows
	lanes  map[int]*lane
	last   map[uint64]uint64 // by key, the count that was shown last
	shown  uint64
	lost   uint64
	again  uint64 // duplicated
	fenced int    // pages of writers that others had replaced
	err    error
}

// lane is what was shown on a lane, and who shows it.
type lane struct {
	pid    int
	writer net.Conn
	next   uint64
	seen   []time.Time // when something new was
}

// newWatch listens at a socket.
func newWatch(path string) (*watch, error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	w := &watch{listener: l, lanes: map[int]*lane{}, last: map[uint64]uint64{}}
	w.work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.work.Go(func() { w.serve(c) })
		}
	})
	return w, nil
}

// close ends when all writers have gone.
func (w *watch) close() {
	w.listener.Close()
	w.work.Wait()
}

func (w *watch) serve(c net.Conn) {
	defer c.Close()
	from := gob.NewDecoder(c)
	for {
		var p page
		if err := from.Decode(&p); err != nil {
			if !gone(err) {
				w.mu.Lock()
				w.err = errors.Join(w.err, err)
				w.mu.Unlock()
			}
			return
		}
		answer := byte(taken)
		if !w.take(c, &p) {
			answer = refused
		}
		if _, err := c.Write([]byte{answer}); err != nil {
			return // it was killed meanwhile
		}
	}
}

// gone reports that a connection has ended as its other end did, be it by a kill before it
// had read the answer.
func gone(err error) bool {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// take looks at a page; false if its writer is not the lane's any more.
func (w *watch) take(c net.Conn, p *page) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.lanes[p.Lane]
	if l == nil {
		l = &lane{}
		w.lanes[p.Lane] = l
	}
	if p.Opens {
		l.pid, l.writer = p.Pid, c
	}
	if l.writer != c {
		w.fenced++
		return false
	}
	if p.From > l.next {
		w.lost += p.From - l.next
		l.next = p.From
	}
	if old := l.next - p.From; old < uint64(len(p.Counts)) {
		for _, n := range p.Counts[old:] {
			w.look(n)
		}
		l.next = p.From + uint64(len(p.Counts))
		l.seen = append(l.seen, time.Now())
	}
	return true
}

// look holds a count against the one that was shown before it. w.mu is held.
func (w *watch) look(c count) {
	w.shown++
	switch last := w.last[c.Key]; {
	case c.N <= last:
		w.again++
		return
	case c.N > last+1:
		w.lost += c.N - last - 1
	}
	w.last[c.Key] = c.N
}

// total is how many counts were shown.
func (w *watch) total() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.shown
}

// showing is on how many lanes something was shown.
func (w *watch) showing() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lanes {
		if len(l.seen) > 0 {
			n++
		}
	}
	return n
}

// lanesOf are the lanes on which a process shows things.
func (w *watch) lanesOf(pid int) (list []int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, l := range w.lanes {
		if l.pid == pid {
			list = append(list, i)
		}
	}
	return list
}

// finish counts what is missing when events of keys in turn have been shown.
func (w *watch) finish(events, keys uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for k := range keys {
		want := events / keys
		if k < events%keys {
			want++
		}
		w.lost += want - min(want, w.last[k])
	}
}

// silence is the longest time without anything new on a lane, of those that touch the time
// from begin to end.
func (w *watch) silence(lane int, begin, end time.Time) (most time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.lanes[lane]
	if l == nil {
		return 0
	}
	i, _ := slices.BinarySearchFunc(l.seen, begin, time.Time.Compare)
	for i = max(i, 1); i < len(l.seen) && !l.seen[i-1].After(end); i++ {
		most = max(most, l.seen[i].Sub(l.seen[i-1]))
	}
	return most
}
