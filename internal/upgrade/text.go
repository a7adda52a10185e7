package upgrade

import (
	"errors"
	"fmt"
	"strings"
)

// Err is all refusals together, or nil: then the plan may be carried out.
func (r *Result) Err() error {
	var errs []error
	for i := range r.Transforms {
		if t := &r.Transforms[i]; t.Outcome == Refused {
			errs = append(errs, &RefusedError{*t})
		}
	}
	return errors.Join(errs...)
}

// RefusedError is a transform whose state can't be kept and may not be dropped.
type RefusedError struct{ Transform Transform }

// Error names the transform, its lines in both programs, what is wrong and what can be done.
func (e *RefusedError) Error() string {
	t := e.Transform
	name := t.Old
	if t.Name != "" {
		name = t.Name
	}
	s := fmt.Sprintf("%s: the state of %s %q can't be kept: %s", t.where(), t.Kind, name, t.Problem)
	if t.Was == "" { // there never was one
		return fmt.Sprintf("transform %q: %s", name, t.Problem)
	}
	return s + fmt.Sprintf("; or allow that it is dropped (-allow-dropped %s)", t.Old)
}

// where is the line in the new program, and that in the old one if it differs.
func (t *Transform) where() string {
	switch {
	case t.At == "" && t.Was == "":
		return "(there is no such transform)"
	case t.At == "":
		return t.Was + " of the old version"
	case t.Was == "" || t.At == t.Was:
		return t.At
	}
	return t.At + " (before: " + t.Was + ")"
}

// String is the plan for people: a line for each transform with state, what changes
// below it.
func (r *Result) String() string {
	width := 0
	for i := range r.Transforms {
		width = max(width, len(r.Transforms[i].label()))
	}
	width = min(width, 48)
	var b strings.Builder
	for i := range r.Transforms {
		t := &r.Transforms[i]
		fmt.Fprintf(&b, "%-9s %-*s  %s\n", t.Outcome, width, t.label(), t.where())
		for _, c := range t.Changes {
			fmt.Fprintf(&b, "%-9s   %s\n", "", c)
		}
		if t.Problem != "" {
			fmt.Fprintf(&b, "%-9s   %s\n", "", t.Problem)
		}
	}
	if r.others > 0 {
		fmt.Fprintf(&b, "%d other transforms keep no state\n", r.others)
	}
	return b.String()
}

func (t *Transform) label() string {
	switch {
	case t.Name == "":
		return t.Old
	case t.Old != "" && t.Old != t.Name:
		return t.Old + " -> " + t.Name
	}
	return t.Name
}
