// Package savepoint reads and edits savepoints offline: what a job knew, typed as in
// the job. A savepoint is one file, made by "app -state-dir DIR savepoint create NAME";
// a job begins with one by -from FILE.
//
//	s, err := savepoint.Open("before.savepoint")
//	counts, failed := savepoint.Values[string, int](s, "sessions", "seen")
//	for user, n := range counts { … }
//	err = failed()
//
// Transforms and cells (the parts of their state) have the names that the pipeline
// gave them; [Savepoint.Transforms] lists both. Of transforms without names for their
// state, cells are called "accumulator" (Combine, Count, …) and "values" (GroupByKey).
// A cell is read as the Go type that the pipeline declared it with:
//
//	ValueState[T]            T
//	BagState[T], SetState[T] []T
//	MapState[K, V]           map[K]V
//	CombiningState, Combine  the accumulator's type
//	OrderedListState[T]      []coder.KV[int64, T], the keys being Unix milliseconds
//	GroupByKey               []T
//
// Types are compared by their coders: what has other bytes is refused with a sentence,
// never misread. Timers, panes and what belongs to no key are not read by type; "state
// dump" shows them.
//
// A savepoint never changes. [Savepoint.Edit] collects changes and saves them as another.
package savepoint
