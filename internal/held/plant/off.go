//go:build !planted

package plant

// Is reports that b is planted: never, in this build.
func Is(Bug) bool { return false }
