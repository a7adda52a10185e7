//go:build linux && !race

package hugepages

import (
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reserve takes memory that is never touched, asks for huge pages there, and gives it back to
// the heap. What the kernel was asked for stays with the addresses.
func reserve(size int) {
	if !given() || counted() {
		return
	}
	var b strings.Builder // the only way to memory that is not cleared
	b.Grow(size)
	b.WriteByte(0)
	at := unsafe.Slice(unsafe.StringData(b.String()), b.Cap())
	_ = unix.Madvise(at, unix.MADV_HUGEPAGE) // or pages stay small
	runtime.KeepAlive(&b)
	b.Reset()
	debug.FreeOSMemory() // else the runtime would hold it for memory in use, for a while
}

// given reports that who asks for huge pages gets them, and nobody else.
func given() bool {
	b, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	return err == nil && bytes.Contains(b, []byte("[madvise]"))
}

// counted reports that addresses are as scarce as memory.
func counted() bool {
	if b, err := os.ReadFile("/proc/sys/vm/overcommit_memory"); err != nil || len(b) == 0 || b[0] == '2' {
		return true
	}
	var most unix.Rlimit
	return unix.Getrlimit(unix.RLIMIT_AS, &most) != nil || most.Cur != unix.RLIM_INFINITY
}
