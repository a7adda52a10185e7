// Package tasks waits for goroutines that others may begin at any time.
package tasks

import "sync"

// Group runs functions until it is waited for; later ones are not begun. A [sync.WaitGroup]
// would leave it to its users that none begins once somebody waits. The zero value is ready.
type Group struct {
	mu   sync.Mutex // guards over, and the group's going from zero
	over bool
	wg   sync.WaitGroup
}

// Go runs fn in a goroutine of its own, unless the group was waited for.
func (g *Group) Go(fn func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.over {
		g.wg.Go(fn)
	}
}

// Wait waits for what runs. What it runs may still call Go, in vain.
func (g *Group) Wait() {
	g.mu.Lock()
	g.over = true
	g.mu.Unlock()
	g.wg.Wait()
}
