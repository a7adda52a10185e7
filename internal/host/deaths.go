package host

import "sync"

// Deaths tells the slots of a process which other processes have ended, sooner than their
// silence would. The zero value has heard of none.
type Deaths struct {
	mu    sync.Mutex
	hosts map[*Host]bool
}

// Tell tells of the end of a process. Whoever runs there nevertheless is heard of again.
func (d *Deaths) Tell(process uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for h := range d.hosts {
		h.do(func() { h.core.Dead(process, h.now()) })
	}
}

// add tells h of ends, until remove.
func (d *Deaths) add(h *Host) (remove func()) {
	if d == nil {
		return func() {}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hosts == nil {
		d.hosts = map[*Host]bool{}
	}
	d.hosts[h] = true
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.hosts, h)
	}
}
