package alarm

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// fileClock is a timerfd.
type fileClock struct {
	file *os.File
	conn syscall.RawConn
	over chan struct{} // closed when nobody rings any more
}

// kernelClock returns a clock that calls ring; nil if the process may have no more files.
func kernelClock(ring func()) clock {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil
	}
	c := &fileClock{file: os.NewFile(uintptr(fd), "timerfd"), over: make(chan struct{})}
	if c.conn, err = c.file.SyscallConn(); err != nil {
		c.file.Close()
		return nil
	}
	go func() {
		defer close(c.over)
		times := make([]byte, 8)
		for {
			if _, err := c.file.Read(times); err != nil {
				return // it was closed
			}
			ring()
		}
	}()
	return c
}

func (c *fileClock) set(d time.Duration) {
	in := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
	_ = c.conn.Control(func(fd uintptr) { // fails when it is closed, as then nobody waits
		if err := unix.TimerfdSettime(int(fd), 0, &in, nil); err != nil {
			panic("BUG: alarm: " + err.Error())
		}
	})
}

func (c *fileClock) close() {
	c.file.Close()
	<-c.over
}
