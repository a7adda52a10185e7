//go:build !linux

package main

func (p *process) freeze() error { return errNoPower }
