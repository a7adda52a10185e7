package runners

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/io/filesystem"
	"github.com/millrace/millrace/window"
)

// jsonSource is files of JSON, a value a line, in the place of the source n. Each file
// is read by one lane, from its first line to its last.
type jsonSource struct {
	path  string
	time  string // the field with the event time; "" for none
	value string // the field with the value; "" if the line is it
	node  *graph.Node
}

func (s *jsonSource) Bounded() bool { return true }

func (s *jsonSource) Splits(run *graph.Run, _ int) (out []graph.Split, err error) {
	files, err := filesystem.Match(run.Context, s.path)
	for _, f := range files {
		out = append(out, jsonFile{s, f})
	}
	return out, err
}

type jsonFile struct {
	*jsonSource
	file filesystem.File
}

func (f jsonFile) ID() string  { return f.file.Path }
func (f jsonFile) Size() int64 { return f.file.Size }

// Open goes on behind as many lines as pos says.
func (f jsonFile) Open(c *graph.Ctx, out any, pos []byte) (graph.Reader, error) {
	var skip uint64
	if pos != nil {
		var n int
		if skip, n = binary.Uvarint(pos); n <= 0 || n != len(pos) {
			return nil, fmt.Errorf("%s: damaged position", f.file.Path)
		}
	}
	raw, err := filesystem.Open(c.Run.Context, f.file.Path)
	if err != nil {
		return nil, err
	}
	counted := &counter{Reader: raw}
	in, err := filesystem.Decompress(struct {
		io.Reader
		io.Closer
	}{counted, raw}, f.file.Path, filesystem.ByName)
	if err != nil {
		raw.Close()
		return nil, err
	}
	r := &jsonReader{jsonFile: f, in: in, read: counted, lines: bufio.NewScanner(in), box: f.node.Elements.Box(out)}
	r.lines.Buffer(make([]byte, 64<<10), lineMost)
	for uint64(r.line) < skip {
		if err := r.next(); err != nil {
			in.Close()
			return nil, fmt.Errorf("%s has fewer lines than were read of it before: %w", f.file.Path, err)
		}
	}
	return r, nil
}

// lineMost is how long a line may be, in bytes.
const lineMost = 16 << 20

type jsonReader struct {
	jsonFile
	in    io.Closer
	read  *counter
	lines *bufio.Scanner
	line  int // number of the line read last
	count int64
	box   graph.Box
	done  bool
}

// next goes to the next line; io.EOF says that there is none.
func (r *jsonReader) next() error {
	if r.lines.Scan() {
		r.line++
		return nil
	}
	r.done = true
	switch err := r.lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		r.line++
		return fmt.Errorf("the line is longer than %d bytes", lineMost)
	case err != nil:
		return err
	}
	return io.EOF
}

func (r *jsonReader) Poll(c *graph.Ctx, max int) (graph.ReadState, error) {
	old := c.TS
	defer func() { c.TS = old }()
	for ; max > 0 && c.Err() == nil; max-- {
		if err := r.next(); err == io.EOF {
			return graph.Done, nil
		} else if err != nil {
			return graph.Done, err
		}
		line := bytes.TrimSpace(r.lines.Bytes())
		if len(line) == 0 {
			continue
		}
		ts, err := r.decode(line)
		if err != nil {
			return graph.Done, err
		}
		c.Op, c.TS = r.node.ID, ts
		r.count++
		r.box.Emit(c)
	}
	return graph.More, nil
}

// decode puts a line into the box, and returns its event time.
func (r *jsonReader) decode(line []byte) (ts int64, err error) {
	ts, value := window.MinTime, json.RawMessage(line)
	if r.time != "" || r.value != "" {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(line, &fields); err != nil {
			return 0, oneLine(err)
		}
		if r.time != "" {
			if ts, err = timeOf(fields[r.time]); err != nil {
				return 0, fmt.Errorf("the time in field %q: %w", r.time, err)
			}
		}
		if r.value != "" {
			if value = fields[r.value]; value == nil {
				return 0, fmt.Errorf("there is no field %q for the value", r.value)
			}
		}
	}
	return ts, oneLine(json.Unmarshal(value, r.box.New()))
}

// oneLine adds to an error of JSON that ends early what is most often the cause.
func oneLine(err error) error {
	if e, ok := errors.AsType[*json.SyntaxError](err); ok && e.Error() == "unexpected end of JSON input" {
		return fmt.Errorf("%w: each value has to be on a line of its own", err)
	}
	return err
}

// timeOf is a time of JSON: as in RFC 3339, or in Unix milliseconds.
func timeOf(raw json.RawMessage) (int64, error) {
	var t time.Time
	var ms int64
	switch {
	case raw == nil:
		return 0, errors.New("there is none")
	case json.Unmarshal(raw, &ms) == nil && string(raw) != "null":
	case json.Unmarshal(raw, &t) == nil && string(raw) != "null":
		ms = t.UnixMilli()
	default:
		return 0, fmt.Errorf("%s: want Unix milliseconds, or a string as %q", raw, "2026-11-24T09:00:00Z")
	}
	if ms < window.MinTime || ms > window.MaxTime {
		return 0, fmt.Errorf("%s is beyond all times", raw)
	}
	return ms, nil
}

func (r *jsonReader) Watermark() int64         { return window.MinTime }
func (r *jsonReader) Position(b []byte) []byte { return binary.AppendUvarint(b, uint64(r.line)) }
func (r *jsonReader) Where() string            { return fmt.Sprintf("%s:%d", r.file.Path, r.line) }
func (r *jsonReader) Close() error             { return r.in.Close() }
func (r *jsonReader) Count() int64             { return r.count }

// Progress is in bytes of the file, as they lie there.
func (r *jsonReader) Progress() int64 {
	if r.done {
		return r.file.Size
	}
	return min(r.read.n, r.file.Size)
}

// counter counts what was read.
type counter struct {
	io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n += int64(n)
	return n, err
}

// newLineFormat makes lines of elements: their JSON, or an object with time and value
// in fields of these names.
func newLineFormat(timeField, valueField string) (func(v any, ts int64) (string, error), error) {
	if valueField == "" {
		if timeField != "" {
			return nil, errors.New("time says in which field of a line its time is to be: then value has to say in which the value is")
		}
		return func(v any, _ int64) (string, error) { return jsonLine(v) }, nil
	}
	return func(v any, ts int64) (string, error) {
		fields := map[string]any{valueField: v}
		if timeField != "" && ts >= 0 && ts < window.GlobalEnd { // others are beyond what JSON's times can say
			fields[timeField] = time.UnixMilli(ts).UTC()
		}
		return jsonLine(fields)
	}, nil
}

// jsonLine is a value's JSON, with <, > and & as they are, as json.Write has it.
func jsonLine(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte{'\n'})), nil
}
