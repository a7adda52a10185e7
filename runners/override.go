package runners

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/runner"
	"github.com/millrace/millrace/io/filesystem"
	"github.com/millrace/millrace/io/text"
	"github.com/millrace/millrace/pipeline"
)

// overrides is what the flags -source and -sink put in the place of sources and sinks,
// in the order in which they were given.
type overrides []override

// override is one of these flags: name=file:path?parameters.
type override struct {
	flag, name, by string
	path           string // "" for the terminal
	params         url.Values
}

// register declares the flags.
func (o *overrides) register(fs *flag.FlagSet) {
	fs.Func("source", "read a source from a file of JSON lines instead: `name=file:path`, as in -source orders=file:orders.jsonl; ?time=FIELD says where event times are; may be repeated", o.set("source", "time", "value"))
	fs.Func("sink", "write a sink to a file of JSON lines instead: `name=file:path`, or name=- for the terminal; may be repeated", o.set("sink", "time", "value", "roll"))
}

// set reads a flag's value.
func (o *overrides) set(flag string, params ...string) func(string) error {
	return func(text string) (err error) {
		x := override{flag: flag}
		var ok bool
		if x.name, x.by, ok = strings.Cut(text, "="); !ok || x.name == "" || x.by == "" {
			return errors.New("want name=file:path")
		}
		if slices.ContainsFunc(*o, func(y override) bool { return y.flag == flag && y.name == x.name }) {
			return fmt.Errorf("the %s %q is given twice", flag, x.name)
		}
		where, query, _ := strings.Cut(x.by, "?")
		if x.path, err = pathOf(where, flag == "sink"); err != nil {
			return err
		}
		if x.params, err = url.ParseQuery(query); err != nil {
			return errors.New("the parameters behind the ? are badly escaped")
		}
		for name, values := range x.params {
			if !slices.Contains(params, name) || len(values) != 1 || values[0] == "" {
				return fmt.Errorf("%s=%s: there are the parameters %s, each once", name, strings.Join(values, ","), strings.Join(params, ", "))
			}
		}
		*o = append(*o, x)
		return nil
	}
}

// pathOf is the file that file:path or a URL names, "" for the terminal.
func pathOf(where string, terminal bool) (string, error) {
	path, ok := strings.CutPrefix(where, "file:")
	switch {
	case terminal && where == "-":
		return "", nil
	case ok:
		path = strings.TrimPrefix(path, "//")
	case strings.Contains(where, "://"):
		path = where
	default:
		return "", fmt.Errorf("%q: want file: and a path, as file:%s", where, where)
	}
	if err := filesystem.CheckPattern(path); err != nil {
		return "", err
	}
	_, err := filesystem.For(context.Background(), path)
	return path, err
}

// apply replaces what the flags name. stdout is the terminal.
func (o overrides) apply(g *graph.Graph, stdout io.Writer) error {
	terminal := &lineWriter{w: stdout}
	var sinks []override // behind the sources, which may make a run bounded
	for _, x := range o {
		if x.flag == "sink" {
			sinks = append(sinks, x)
			continue
		}
		n, err := x.find(g)
		if err != nil {
			return err
		}
		n.ReplaceSource(&jsonSource{path: x.path, time: x.params.Get("time"), value: x.params.Get("value"), node: n}, "json.Read", x.by)
	}
	for _, x := range sinks {
		n, err := x.find(g)
		if err != nil {
			return err
		}
		if err := x.write(g, n, terminal); err != nil {
			return &runner.UsageError{Flag: "sink " + x.name + "=" + x.by, Problem: err.Error()}
		}
	}
	return nil
}

// find is the source or sink that the override names.
func (x *override) find(g *graph.Graph) (*graph.Node, error) {
	var there []string
	for _, n := range g.Nodes {
		if n.Elements == nil || (n.Src != nil) != (x.flag == "source") {
			continue
		}
		if n.Name == x.name {
			return n, nil
		}
		there = append(there, fmt.Sprintf("%s (%s)", n.Name, n.Pos))
	}
	problem := fmt.Sprintf("there is no %s of this name; ", x.flag)
	if there == nil {
		problem += fmt.Sprintf("the pipeline has no %s", x.flag)
	} else {
		problem += "there is " + strings.Join(there, ", ")
	}
	return nil, &runner.UsageError{Flag: x.flag + " " + x.name + "=" + x.by, Problem: problem}
}

// write makes the sink n write lines of JSON.
func (x *override) write(g *graph.Graph, n *graph.Node, terminal *lineWriter) error {
	format, err := newLineFormat(x.params.Get("time"), x.params.Get("value"))
	if err != nil {
		return err
	}
	lines := pipeline.New()
	from := pipeline.Create[string](lines)
	if x.path == "" {
		pipeline.ForEach(from, terminal.write)
	} else if opts, err := x.options(g); err != nil {
		return err
	} else {
		text.Write(from, x.path, opts...)
	}
	if err := lines.Err(); err != nil {
		return err
	}
	kind := "json.Write"
	if x.path == "" {
		kind = "ForEach"
	}
	n.ReplaceSink(lines.Graph().Nodes[1], format, kind, x.by)
	return nil
}

// options is how the sink's file is written.
func (x *override) options(g *graph.Graph) ([]text.WriteOption, error) {
	opts := []text.WriteOption{text.Single()}
	if roll := x.params.Get("roll"); roll != "" {
		d, err := time.ParseDuration(roll)
		if err != nil || d <= 0 {
			return nil, fmt.Errorf("roll=%s: want a time as 10s", roll)
		}
		return append(opts, text.RollAfter(d)), nil
	}
	for _, n := range g.Nodes {
		if n.Src != nil && !n.Src.Bounded() && !n.DeadLetter {
			return nil, fmt.Errorf("the source %s has no end, and a file appears when the run has ended: "+
				"replace the source as well, have a new file begun from time to time by ?roll=10s, or use - for the terminal", n.Name)
		}
	}
	return opts, nil
}

// lineWriter writes lines of all lanes.
type lineWriter struct {
	mu sync.Mutex // guards w
	w  io.Writer
}

func (l *lineWriter) write(_ context.Context, line string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := io.WriteString(l.w, line+"\n")
	return err
}
