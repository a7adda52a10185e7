package transforms

import "github.com/millrace/millrace/pipeline"

// failer records a mistake in building a pipeline.
type failer func(format string, args ...any)

// report is the failer of c's pipeline. Without one, as in a combiner made by
// itself, the mistake is reported by whichever pipeline is run next.
func report(c pipeline.Signal) failer {
	if c == nil {
		return func(format string, args ...any) { pipeline.Fail(nil, format, args...) }
	}
	return func(format string, args ...any) { pipeline.FailAt(c, format, args...) }
}
