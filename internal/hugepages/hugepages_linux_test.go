//go:build linux && !race

package hugepages

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// Goal: what the heap grows by lies where huge pages were asked for, and nothing of it is taken
// before that.
func TestReserve(t *testing.T) {
	if !given() || counted() {
		t.Skip("this system gives huge pages to all, to nobody, or counts addresses")
	}
	before := resident(t)
	Reserve(1 << 30)
	require.Less(t, resident(t)-before, int64(64<<20), "it was touched")
	b := make([]byte, 64<<20)
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	require.Contains(t, flags(t, uintptr(unsafe.Pointer(&b[len(b)/2]))), " hg", "huge pages were not asked for")
	before = resident(t)
	Reserve(1 << 30) // the second time it would have to take what was used
	require.Less(t, resident(t)-before, int64(64<<20), "it was reserved again")
}

// resident is how many bytes of memory this process has.
func resident(t *testing.T) int64 {
	b, err := os.ReadFile("/proc/self/statm")
	require.NoError(t, err)
	var size, pages int64
	_, err = fmt.Sscan(string(b), &size, &pages)
	require.NoError(t, err)
	return pages * int64(os.Getpagesize())
}

// flags are those of the mapping that an address is in.
func flags(t *testing.T, at uintptr) string {
	f, err := os.Open("/proc/self/smaps")
	require.NoError(t, err)
	defer f.Close()
	in := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var from, to uintptr
		if n, _ := fmt.Sscanf(lines.Text(), "%x-%x ", &from, &to); n == 2 {
			in = from <= at && at < to
		} else if f, ok := strings.CutPrefix(lines.Text(), "VmFlags:"); ok && in {
			return f
		}
	}
	t.Fatalf("no mapping has %x", at)
	return ""
}
