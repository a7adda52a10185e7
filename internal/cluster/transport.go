package cluster

import (
	"context"
	"errors"
	"fmt"
)

// Transport carries messages between the processes of one job. Any may be lost, doubled or
// late. Its methods may be called by several goroutines at once.
type Transport interface {
	// TellAll sends msg to all that listen. It does not wait for them.
	TellAll(msg []byte) error
	// ListenAll calls fn for each message, one after the other, until stop is called.
	ListenAll(fn func(msg []byte)) (stop func(), err error)
	// Ask sends a request to one of those that serve it and returns its answer.
	Ask(ctx context.Context, service string, request []byte) (answer []byte, err error)
	// Serve answers requests, several at once, until stop is called, which returns when no
	// call of fn is left.
	Serve(service string, fn func(request []byte) (answer []byte, err error)) (stop func(), err error)
	// Line is the connection by which messages go: its number, which is another one behind
	// each time that it was lost, and whether it is there.
	Line() (number uint64, up bool)
}

// service is what leaders serve.
const service = "crew"

// serviceOf is what a worker serves.
func serviceOf(worker string) string { return "worker-" + worker }

// wire is a transport with a sealer: the way of messages.
type wire struct {
	Transport
	Sealer
}

// ask asks the leader.
func (w wire) ask(ctx context.Context, m Message) (Message, error) {
	return w.askAt(ctx, service, m)
}

// askAt asks who serves what at names.
func (w wire) askAt(ctx context.Context, at string, m Message) (Message, error) {
	b, err := w.Seal(m)
	if err != nil {
		return nil, err
	}
	if b, err = w.Ask(ctx, at, b); err != nil {
		who := "the job's leader"
		if at != service {
			who = "a worker"
		}
		return nil, fmt.Errorf("ask %s: %w", who, err)
	}
	return w.Open(b)
}

// serve answers with what fn does. A stranger's message comes to fn as nil.
func (w wire) serve(service string, fn func(m Message) Message) (stop func(), err error) {
	return w.Serve(service, func(b []byte) ([]byte, error) {
		m, err := w.Open(b)
		switch {
		case errors.Is(err, ErrStranger):
			return w.Seal(fn(nil)) // which it can't read, and so it knows
		case err != nil:
			return w.Seal(&Refused{Reason: Text(err.Error())})
		}
		return w.Seal(fn(m))
	})
}

// tell tells all.
func (w wire) tell(m Message) error {
	b, err := w.Seal(m)
	if err != nil {
		return err
	}
	return w.TellAll(b)
}

// listen calls fn for what is told; what can't be opened is dropped.
func (w wire) listen(fn func(m Message)) (stop func(), err error) {
	return w.ListenAll(func(b []byte) {
		if m, err := w.Open(b); err == nil {
			fn(m)
		}
	})
}
