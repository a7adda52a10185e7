package cluster

import (
	"context"
	"encoding/json"
	"fmt"
)

// Client is a terminal, or a command, towards a job: it belongs to nothing and may come
// and go.
type Client struct {
	Transport Transport
	Sealer    Sealer
}

// Do asks for a command. Its result is read into result, unless that is nil. An error that
// is an [*AnswerError] is the leader's.
func (c *Client) Do(ctx context.Context, result any, name string, args ...string) error {
	return wire{c.Transport, c.Sealer}.command(ctx, service, result, &Command{Name: name, Args: args})
}

// AnswerError is what a command is answered with that was not carried out.
type AnswerError struct{ Text string }

func (e *AnswerError) Error() string { return e.Text }

// command asks who serves what service names for a command.
func (w wire) command(ctx context.Context, service string, result any, c *Command) error {
	m, err := w.askAt(ctx, service, c)
	if err != nil {
		return err
	}
	switch m := m.(type) {
	case *Refused:
		return m
	case *Reply:
		if m.Error != "" {
			return &AnswerError{m.Error}
		}
		if result == nil {
			return nil
		}
		if err := json.Unmarshal(m.Result, result); err != nil {
			return fmt.Errorf("read the answer to %s: %w", c.Name, err)
		}
		return nil
	}
	return fmt.Errorf("a command is answered with %s", kindOf(m))
}

// Log shows a line of worker number to who looks at the job; 0 is the job's own.
func (c *Client) Log(number int, line string) error {
	return wire{c.Transport, c.Sealer}.tell(&Log{Number: number, Line: Text(line)})
}

// Watch calls log for each line that is shown, and roster for each roster that is told,
// until stop is called. What comes again is told again.
func (c *Client) Watch(log func(l *Log), roster func(r *Roster)) (stop func(), err error) {
	return wire{c.Transport, c.Sealer}.listen(func(m Message) {
		switch m := m.(type) {
		case *Log:
			log(m)
		case *Roster:
			roster(m)
		}
	})
}
