package runner

import (
	"flag"
	"fmt"
	"slices"
	"strings"
)

// Own is the flags of a program itself, those that no runner has declared, as they were
// given.
type Own struct {
	fs    *flag.FlagSet
	given []Setting
}

// Setting is a flag with a value that it was given.
type Setting struct{ Name, Value string }

// NewOwn is the flags of those names, as they are in args, which fs has parsed.
func NewOwn(fs *flag.FlagSet, own map[string]bool, args []string) *Own {
	o := &Own{fs: fs}
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && args[0] != "--" {
		name, value, ok := strings.Cut(strings.TrimPrefix(args[0][1:], "-"), "=")
		args = args[1:]
		switch f := fs.Lookup(name); {
		case ok:
		case f != nil && IsBool(f):
			value = "true"
		case len(args) > 0:
			value, args = args[0], args[1:]
		}
		if own[name] {
			o.given = append(o.given, Setting{name, value})
		}
	}
	return o
}

// IsBool reports that a flag needs no value.
func IsBool(f *flag.Flag) bool {
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// Given are the flags, in order; one that may be repeated is there as often as it was given.
func (o *Own) Given() []Setting { return o.given }

// Take sets the flags as they were given to another process, before anybody has read them.
// What was given to this one has to be the same.
func (o *Own) Take(given []Setting) error {
	for _, s := range o.given {
		if here, there := values(o.given, s.Name), values(given, s.Name); !slices.Equal(here, there) {
			return &UsageError{Flag: s.Name, Problem: fmt.Sprintf("it is %s here, and %s in the job: leave it away", said(here), said(there))}
		}
	}
	for _, s := range given {
		if values(o.given, s.Name) != nil {
			continue
		}
		if err := o.fs.Set(s.Name, s.Value); err != nil {
			return &UsageError{Flag: s.Name, Problem: fmt.Sprintf("set it to %q, as in the job: %v", s.Value, err)}
		}
	}
	return nil
}

func values(list []Setting, name string) (values []string) {
	for _, s := range list {
		if s.Name == name {
			values = append(values, s.Value)
		}
	}
	return values
}

func said(values []string) string {
	if values == nil {
		return "not given"
	}
	var quoted []string
	for _, v := range values {
		quoted = append(quoted, fmt.Sprintf("%q", v))
	}
	return strings.Join(quoted, " and ")
}
