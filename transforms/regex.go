package transforms

import (
	"regexp"

	"github.com/millrace/millrace/pipeline"
)

// Patterns are in the syntax of Go's package regexp. They are compiled while the
// pipeline is built; a bad one is reported with the line that has it.

// Matches keeps the strings in which pattern matches something.
func Matches(c pipeline.PCollection[string], pattern string, opts ...pipeline.Option) pipeline.PCollection[string] {
	return regex(c, "Matches", pattern, func(re *regexp.Regexp) pipeline.PCollection[string] {
		return pipeline.Filter(c, re.MatchString, opts...)
	})
}

// Extract is the first match of pattern in each string, with its groups: index 0
// is the whole match, 1 the first group. Strings without a match are dropped.
func Extract(c pipeline.PCollection[string], pattern string, opts ...pipeline.Option) pipeline.PCollection[[]string] {
	return regex(c, "Extract", pattern, func(re *regexp.Regexp) pipeline.PCollection[[]string] {
		return pipeline.FlatMapEmit(c, func(s string, emit pipeline.Emit[[]string]) {
			if m := re.FindStringSubmatch(s); m != nil {
				emit(m)
			}
		}, opts...)
	})
}

// FindAll is every match of pattern in each string.
func FindAll(c pipeline.PCollection[string], pattern string, opts ...pipeline.Option) pipeline.PCollection[string] {
	return regex(c, "FindAll", pattern, func(re *regexp.Regexp) pipeline.PCollection[string] {
		return pipeline.FlatMapEmit(c, func(s string, emit pipeline.Emit[string]) {
			for _, m := range re.FindAllString(s, -1) {
				emit(m)
			}
		}, opts...)
	})
}

// Replace replaces every match of pattern in each string; $1 in with is the first group.
func Replace(c pipeline.PCollection[string], pattern, with string, opts ...pipeline.Option) pipeline.PCollection[string] {
	return regex(c, "Replace", pattern, func(re *regexp.Regexp) pipeline.PCollection[string] {
		return pipeline.Map(c, func(s string) string { return re.ReplaceAllString(s, with) }, opts...)
	})
}

// Split cuts each string at every match of pattern. Empty pieces are kept.
func Split(c pipeline.PCollection[string], pattern string, opts ...pipeline.Option) pipeline.PCollection[string] {
	return regex(c, "Split", pattern, func(re *regexp.Regexp) pipeline.PCollection[string] {
		return pipeline.FlatMapEmit(c, func(s string, emit pipeline.Emit[string]) {
			for _, part := range re.Split(s, -1) {
				emit(part)
			}
		}, opts...)
	})
}

// regex compiles pattern and builds what uses it in a scope of its own.
func regex[T any](c pipeline.PCollection[string], kind, pattern string, build func(*regexp.Regexp) pipeline.PCollection[T]) pipeline.PCollection[T] {
	return pipeline.Composite(c, kind, func() pipeline.PCollection[T] {
		re, err := regexp.Compile(pattern)
		if err != nil {
			report(c)("%s: %w", kind, err)
			re = regexp.MustCompile("") // the pipeline is not run
		}
		return build(re)
	})
}
