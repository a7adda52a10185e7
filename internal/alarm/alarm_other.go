//go:build !linux

package alarm

func kernelClock(func()) clock { return nil }
