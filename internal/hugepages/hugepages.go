// Package hugepages has the heap of a process grow into huge pages, where Linux gives them to
// who asks for them (/sys/kernel/mm/transparent_hugepage/enabled is "madvise", as on many
// systems), since Go's runtime does not ask.
//
// Memory that is touched for the first time costs the kernel a fault for each page. A state of
// a gigabyte that is read is a few of these, and with pages of 4 KiB a million faults, which in
// a virtual machine can take longer than all the rest.
package hugepages

import "sync"

var once sync.Once

// Reserve has the heap lie in huge pages for the next size bytes that it grows by. That costs
// address space and, for what the runtime notes of it, a thousandth of size, and takes some
// milliseconds. It works once in a process, best before that has allocated much. It does nothing
// where the system gives huge pages to all or to nobody, and where address space is counted.
func Reserve(size int64) {
	if size > 0 && int64(int(size)) == size {
		once.Do(func() { reserve(int(size)) })
	}
}
