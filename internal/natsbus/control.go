package natsbus

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/millrace/millrace/internal/tasks"
)

// Control carries small messages, any of which may be lost, and commands with answers,
// on the control connection.
type Control struct {
	bus   *Bus
	slots slots
	all   string
}

// ErrNobody is what a command fails with that no process listens to.
var ErrNobody = errors.New("no process of the job answers")

// Control returns the bus's control connection.
func (b *Bus) Control() *Control {
	return &Control{bus: b, slots: slots{prefix: b.subject("slot") + "."}, all: b.subject("all")}
}

// Line is the connection: its number, which is another one behind each time that it was lost,
// and whether it is there.
func (c *Control) Line() (number uint64, up bool) {
	return c.bus.control.Stats().Reconnects, c.bus.control.IsConnected()
}

// Tell sends msg to who listens for slot; it is the caller's again when Tell returns. One
// that can't be sent is counted by [Bus.Stats], unless it never can be.
func (c *Control) Tell(slot int, msg []byte) error {
	return c.bus.publish(c.bus.control, c.slots.subject(slot), msg)
}

// TellAll sends msg to all that listen to all, those of this process included.
func (c *Control) TellAll(msg []byte) error { return c.bus.publish(c.bus.control, c.all, msg) }

// Listen calls fn for each message to slot, one after the other. The message is fn's own.
func (c *Control) Listen(slot int, fn func(msg []byte)) (stop func(), err error) {
	return listen(c.bus.control, c.slots.subject(slot), "", func(m *nats.Msg) { fn(m.Data) })
}

// ListenAll calls fn for each message to all, one after the other.
func (c *Control) ListenAll(fn func(msg []byte)) (stop func(), err error) {
	return listen(c.bus.control, c.all, "", func(m *nats.Msg) { fn(m.Data) })
}

// Ask sends a command to one of those that serve it, and returns the answer. Without an
// answer it is not known whether the command was carried out, unless the error is
// [ErrNobody].
func (c *Control) Ask(ctx context.Context, command string, request []byte) (answer []byte, err error) {
	m, err := c.bus.control.RequestWithContext(ctx, c.bus.subject("command", token(command)), request)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, fmt.Errorf("command %s: %w", command, ErrNobody)
	case err != nil:
		return nil, fmt.Errorf("command %s: %w", command, err)
	case m.Header.Values(errorHeader) != nil:
		return nil, &CommandError{Command: command, Text: m.Header.Get(errorHeader)}
	}
	return m.Data, nil
}

// Serve answers a command, one of those that serve it each request, in a goroutine of its
// own, which has ended when stop returns. An error of fn is told to who asks, as a [CommandError].
func (c *Control) Serve(command string, fn func(request []byte) (answer []byte, err error)) (stop func(), err error) {
	var calls tasks.Group
	unsubscribe, err := listen(c.bus.control, c.bus.subject("command", token(command)), "serve", func(m *nats.Msg) {
		calls.Go(func() {
			answer := nats.NewMsg(m.Reply)
			data, err := fn(m.Data)
			if err != nil {
				answer.Header.Set(errorHeader, oneLine(err))
			} else {
				answer.Data = data
			}
			if m.RespondMsg(answer) != nil {
				c.bus.count.lost.Add(1)
			}
		})
	})
	if err != nil {
		return nil, err
	}
	return func() { unsubscribe(); calls.Wait() }, nil
}

// CommandError is what a command was answered with.
type CommandError struct{ Command, Text string }

func (e *CommandError) Error() string { return fmt.Sprintf("command %s: %s", e.Command, e.Text) }

const errorHeader = "Millrace-Error"

// oneLine is an error as a header may hold it.
func oneLine(err error) string {
	return strings.NewReplacer("\r", " ", "\n", "; ").Replace(err.Error())
}
