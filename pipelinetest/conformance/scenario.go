package conformance

import (
	"bytes"
	_ "embed"
	"fmt"
	"time"

	"github.com/millrace/millrace/window"
	"go.yaml.in/yaml/v3"
)

// scenariosYAML are those with Beam's runs, moreYAML those we add.
//
//go:embed testdata/scenarios.yaml
var scenariosYAML []byte

//go:embed testdata/more.yaml
var moreYAML []byte

// scenario is one case. Times are milliseconds.
type scenario struct {
	ID            string
	Rules         []string
	About         string
	Sources       []string
	Stages        []stage
	Script        []scriptStep
	Expect        []expected
	ExpectError   string `yaml:"expect_error"` // what Beam says
	Error         string // what we say
	Confirmed     []string
	Differs       map[string]string
	Decided       string // why the expectation is ours
	Note          string
	Free          string
	Ours          []expected
	UnsafeTrigger bool `yaml:"unsafe_trigger"`
}

// scriptStep is one step of a scenario's script.
type scriptStep struct {
	Source    string
	Add       []element
	Watermark *int64
	Clock     int64
	Idle      bool
	End       bool
}

// element is written [key, value, time].
type element struct {
	key, value string
	ts         int64
}

func (e *element) UnmarshalYAML(n *yaml.Node) error {
	var parts []any
	if err := n.Decode(&parts); err != nil {
		return err
	}
	ts, ok := parts[len(parts)-1].(int)
	if len(parts) != 3 || !ok {
		return fmt.Errorf("line %d: an element is [key, value, time]", n.Line)
	}
	*e = element{fmt.Sprint(parts[0]), fmt.Sprint(parts[1]), int64(ts)}
	return nil
}

// expected is an output that a step must have.
type expected struct {
	Step        int
	Key, Value  string
	Window      interval
	TS          instant
	Timing      string // "": not a pane of a grouping
	Index       int64
	OnTimeIndex int64 `yaml:"on_time_index"`
	First, Last bool
}

// interval is written [start, end], or global.
type interval struct{ window.Interval }

func (w *interval) UnmarshalYAML(n *yaml.Node) error {
	if n.Value == "global" {
		w.Interval = window.Global
		return nil
	}
	var ends [2]int64
	err := n.Decode(&ends)
	w.Start, w.End = ends[0], ends[1]
	return err
}

// instant is written as a number, or global_end.
type instant int64

func (i *instant) UnmarshalYAML(n *yaml.Node) error {
	if n.Value == "global_end" {
		*i = instant(window.GlobalEnd)
		return nil
	}
	return n.Decode((*int64)(i))
}

// stage is one transform: a word, or a word with its parameters.
type stage struct {
	kind    string // window, group, sum, rekey, reshuffle, shift, flatten, program, side
	window  windowing
	shift   int64
	program map[string]string
	side    side
}

func (s *stage) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		s.kind = n.Value
		return nil
	}
	if len(n.Content) != 2 {
		return fmt.Errorf("line %d: a stage has one name", n.Line)
	}
	s.kind = n.Content[0].Value
	switch args := n.Content[1]; s.kind {
	case "window":
		return strict(args, &s.window)
	case "shift":
		return args.Decode(&s.shift)
	case "program":
		return args.Decode(&s.program)
	case "side":
		return strict(args, &s.side)
	}
	return fmt.Errorf("line %d: no stage is named %s", n.Line, s.kind)
}

// side is the parameters of a stage with a side input.
type side struct {
	Window     windowing
	MainWindow windowing `yaml:"main_window"`
	As         string    // iterable, singleton
	Default    *string
	PerPane    bool `yaml:"per_pane"`
}

// windowing is the parameters of a window stage.
type windowing struct {
	Fixed, Sessions, Offset, Lateness int64
	Sliding                           []int64
	Trigger                           any
	Mode, Combiner, Closing           string
	OnTime                            string `yaml:"on_time"`
}

// strict decodes n and refuses what v has no field for.
func strict(n *yaml.Node, v any) error {
	raw, err := yaml.Marshal(n)
	if err != nil {
		return err
	}
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err)
	}
	return nil
}

// scenarios reads all cases.
func scenarios() (all []scenario, err error) {
	for _, file := range [][]byte{scenariosYAML, moreYAML} {
		var some []scenario
		d := yaml.NewDecoder(bytes.NewReader(file))
		d.KnownFields(true)
		if err := d.Decode(&some); err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// strategy is the window function and options that w says. The default on-time
// behaviour is Beam Java's, which gave the expectations.
func (w windowing) strategy(unsafe bool) (fn window.Fn, opts []window.Option) {
	opts = []window.Option{window.AllowedLateness(ms(w.Lateness)), window.OnTimeBehavior(window.OnTimeAlways)}
	switch {
	case w.Fixed != 0:
		fn = window.Fixed(ms(w.Fixed), window.Offset(ms(w.Offset)))
	case w.Sliding != nil:
		fn = window.Sliding(ms(w.Sliding[0]), ms(w.Sliding[1]))
	case w.Sessions != 0:
		fn = window.Sessions(ms(w.Sessions))
	default:
		fn = window.GlobalWindows()
	}
	if w.Trigger != nil {
		opts = append(opts, window.Triggering(trigger(w.Trigger)))
	}
	if w.Mode == "accumulating" {
		opts = append(opts, window.Accumulating())
	}
	if w.OnTime == "non_empty" {
		opts = append(opts, window.OnTimeBehavior(window.OnTimeIfNonEmpty))
	}
	if w.Closing == "always" {
		opts = append(opts, window.ClosingBehavior(window.CloseAlways))
	}
	switch w.Combiner {
	case "earliest":
		opts = append(opts, window.TimestampsAt(window.Earliest))
	case "latest":
		opts = append(opts, window.TimestampsAt(window.Latest))
	}
	if unsafe {
		opts = append(opts, window.AllowUnsafeTrigger())
	}
	return fn, opts
}

// trigger is what v describes.
func trigger(v any) window.Trigger {
	switch v {
	case "default":
		return window.Default()
	case "never":
		return window.Never()
	case "after_watermark":
		return window.AfterWatermark()
	}
	m, _ := v.(map[string]any)
	for name, arg := range m { // one entry
		switch name {
		case "count":
			return window.AfterCount(arg.(int))
		case "processing_time":
			return window.AfterProcessingTime(ms(int64(arg.(int))))
		case "repeat":
			return window.Repeat(trigger(arg))
		case "any":
			return window.AfterAny(triggers(arg)...)
		case "all":
			return window.AfterAll(triggers(arg)...)
		case "each":
			return window.AfterEach(triggers(arg)...)
		case "or_finally":
			ts := triggers(arg)
			return window.OrFinally(ts[0], ts[1])
		case "after_watermark":
			t := window.AfterWatermark()
			parts := arg.(map[string]any)
			if e, ok := parts["early"]; ok {
				t = t.Early(trigger(e))
			}
			if l, ok := parts["late"]; ok {
				t = t.Late(trigger(l))
			}
			return t
		}
	}
	panic(fmt.Sprintf("conformance: no such trigger: %v", v))
}

func triggers(v any) (ts []window.Trigger) {
	for _, a := range v.([]any) {
		ts = append(ts, trigger(a))
	}
	return ts
}
