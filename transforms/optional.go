package transforms

// Optional is a value that may be missing: the least of nothing, or the side of an
// outer join that has no match. Value is then the zero value.
type Optional[T any] struct {
	OK    bool
	Value T
}

func some[T any](v T) Optional[T] { return Optional[T]{true, v} }
