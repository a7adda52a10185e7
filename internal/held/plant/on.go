//go:build planted

package plant

var planted Bug

// Set plants one bug, or None. It is not for several goroutines at once.
func Set(b Bug) { planted = b }

// Is reports that b is planted.
func Is(b Bug) bool { return planted == b }
