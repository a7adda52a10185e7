//go:build !unix

package local

// onSignal does nothing: there is no signal to ask for a savepoint by.
func onSignal() (requests <-chan struct{}, end func()) { return nil, func() {} }
