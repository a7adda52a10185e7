//go:build unix

package local

import (
	"os"
	"os/signal"
	"syscall"
)

// onSignal asks for a savepoint at each SIGUSR1.
func onSignal() (requests <-chan struct{}, end func()) {
	signals, out, quit := make(chan os.Signal, 1), make(chan struct{}), make(chan struct{})
	signal.Notify(signals, syscall.SIGUSR1)
	go func() {
		for {
			select {
			case <-signals:
			case <-quit:
				return
			}
			select {
			case out <- struct{}{}:
			case <-quit:
				return
			}
		}
	}()
	return out, func() {
		signal.Stop(signals)
		close(quit)
	}
}
