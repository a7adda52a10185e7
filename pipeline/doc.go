// Package pipeline builds typed data pipelines in the Beam model. It runs nothing:
// package runners does, or a runner's own package.
//
// A [PCollection] is a collection of elements, bounded or not; a [Keyed]
// collection gives each of them a key. Both are small values: pass them on, keep
// them, use them more than once. Operations that change the type are functions
// with the collection first; from Go 1.27 on most are methods as well.
//
// Most operations have two forms. The plain one takes a function that cannot
// fail, func(T) U. The careful one begins with Try and takes one that can,
// func(context.Context, T) (U, error). What happens to a failing element is the
// run's policy, the same for errors and panics: stop the run, or set the element
// aside as a dead letter and go on. With Catch the failures are a collection.
//
// User functions are closures and may capture what they like, but they are
// called on several goroutines at once: captured variables are for reading. State
// belongs into [Stateful], or into the setup function of a [ParDo], whose locals
// are one lane's alone.
//
// Mistakes in building a pipeline never panic: they are collected and reported
// together when it is run, each with the file and line it was made at.
package pipeline
