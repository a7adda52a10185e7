package transforms

import (
	"regexp"

	"github.com/millrace/millrace/pipeline"
)

// compile reports a pattern that is none, at the user's line.
func compile(c pipeline.Signal, kind, pattern string) *regexp.Regexp {
	re, err := regexp.Compile(pattern)
	if err != nil {
		pipeline.FailAt(c, "%s: %w", kind, err)
		return regexp.MustCompile("")
	}
	return re
}

// Matches keeps the strings that pattern (Go's regexp syntax) matches somewhere.
func Matches(c pipeline.PCollection[string], pattern string) pipeline.PCollection[string] {
	re := compile(c, "Matches", pattern)
	return pipeline.Filter(c, re.MatchString)
}

// Extract is the first match of pattern in each string, with its groups: index 0
// is the whole match. Strings without a match are dropped.
func Extract(c pipeline.PCollection[string], pattern string) pipeline.PCollection[[]string] {
	re := compile(c, "Extract", pattern)
	return pipeline.FlatMapEmit(c, func(s string, emit pipeline.Emit[[]string]) {
		if m := re.FindStringSubmatch(s); m != nil {
			emit(m)
		}
	})
}

// FindAll is every match of pattern in each string.
func FindAll(c pipeline.PCollection[string], pattern string) pipeline.PCollection[string] {
	re := compile(c, "FindAll", pattern)
	return pipeline.FlatMapEmit(c, func(s string, emit pipeline.Emit[string]) {
		for _, m := range re.FindAllString(s, -1) {
			emit(m)
		}
	})
}

// Replace replaces every match of pattern; $1 in with is the first group.
func Replace(c pipeline.PCollection[string], pattern, with string) pipeline.PCollection[string] {
	re := compile(c, "Replace", pattern)
	return pipeline.Map(c, func(s string) string { return re.ReplaceAllString(s, with) })
}

// Split cuts each string at every match of pattern. Empty pieces are kept.
func Split(c pipeline.PCollection[string], pattern string) pipeline.PCollection[string] {
	re := compile(c, "Split", pattern)
	return pipeline.FlatMapEmit(c, func(s string, emit pipeline.Emit[string]) {
		for _, part := range re.Split(s, -1) {
			emit(part)
		}
	})
}
