package conformance

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/pipeline"
)

// program adds the stateful transform whose elements are lists of commands, and
// which runs the commands listed under a timer's name when the timer fires.
func (b *builder) program(c pipeline.Keyed[string, string], on map[string]string, name string) pipeline.Keyed[string, string] {
	return pipeline.FromPairs(pipeline.Stateful(c, name, func(s *pipeline.Setup[string, kv]) pipeline.Process[string, string, kv] {
		m := &machine{bag: pipeline.BagState[string](s, "bag"), ballast: pipeline.ValueState[string](s, "ballast")}
		m.event = pipeline.EventTimerFamily(s, "event", func(c *pipeline.Ctx[string], tag string, emit pipeline.Emit[kv]) error {
			emit(pipeline.NewKV(c.Key(), fmt.Sprintf("et:%s@%d", tag, c.FireTime().UnixMilli())))
			return m.run(c, on["et:"+tag], emit)
		})
		m.clock = pipeline.ProcessingTimerFamily(s, "clock", func(c *pipeline.Ctx[string], tag string, emit pipeline.Emit[kv]) error {
			emit(pipeline.NewKV(c.Key(), "pt:"+tag))
			return m.run(c, on["pt:"+tag], emit)
		})
		if cmds, ok := on["on_expiry"]; ok {
			pipeline.OnWindowExpiry(s, func(c *pipeline.Ctx[string], emit pipeline.Emit[kv]) error {
				emit(pipeline.NewKV(c.Key(), "expired"+list(slices.Values(m.bag.Get(c)))))
				return m.run(c, cmds, emit)
			})
		}
		return m.run
	}))
}

// machine runs programs. Beside the bag it keeps a text whose length follows from that of
// the bag, and is large or nothing in turns: stores keep what is large in rows of its own.
type machine struct {
	bag     pipeline.Bag[string, string]
	ballast pipeline.Value[string, string]
	event   pipeline.TimerFamily[string]
	clock   pipeline.TimerFamily[string]
}

func ballast(bag int) string { return strings.Repeat("x", bag%3*600) }

func (m *machine) run(c *pipeline.Ctx[string], program string, emit pipeline.Emit[kv]) error {
	for cmd := range strings.SplitSeq(program, ";") {
		if err := m.do(c, cmd, emit); err != nil {
			return fmt.Errorf("command %q: %w", cmd, err)
		}
	}
	return nil
}

func (m *machine) do(c *pipeline.Ctx[string], cmd string, emit pipeline.Emit[kv]) error {
	switch op, arg, _ := strings.Cut(cmd, ":"); {
	case cmd == "":
		return nil
	case cmd == "read":
		if got := len(m.ballast.Get(c)); got != len(ballast(m.bag.Len(c))) {
			return fmt.Errorf("beside a bag of %d there is a text of %d bytes", m.bag.Len(c), got)
		}
		emit(pipeline.NewKV(c.Key(), "bag"+list(slices.Values(m.bag.Get(c)))))
		return nil
	case cmd == "clearbag":
		m.bag.Clear(c)
		m.ballast.Clear(c)
		return nil
	case strings.HasPrefix(cmd, "bag+"):
		m.bag.Add(c, strings.TrimPrefix(cmd, "bag+"))
		if text := ballast(m.bag.Len(c)); text != "" {
			m.ballast.Set(c, text)
		} else {
			m.ballast.Clear(c)
		}
		return nil
	case op == "emit":
		emit(pipeline.NewKV(c.Key(), arg))
		return nil
	case op == "et":
		return m.setEvent(c, arg)
	case op == "pt":
		tag, after, _ := strings.Cut(arg, "=")
		if after == "clear" {
			m.clock.Clear(c, tag)
			return nil
		}
		n, err := strconv.ParseInt(after, 10, 64) // "+5"
		m.clock.SetAfter(c, tag, ms(n))
		return err
	}
	return fmt.Errorf("no such command")
}

// setEvent does TAG=T, TAG=T/out=S and TAG=clear.
func (m *machine) setEvent(c *pipeline.Ctx[string], arg string) error {
	tag, at, _ := strings.Cut(arg, "=")
	if at == "clear" {
		m.event.Clear(c, tag)
		return nil
	}
	at, out, holds := strings.Cut(at, "/out=")
	n, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return err
	}
	if !holds {
		m.event.SetMs(c, tag, n)
		return nil
	}
	o, err := strconv.ParseInt(out, 10, 64)
	m.event.SetOutMs(c, tag, n, o)
	return err
}
