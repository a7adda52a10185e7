// Package flow is the typed operator kit: all code that touches an element.
//
// Package pipeline instantiates its generic functions and hangs the result on
// graph nodes; package engine opens them and never imports flow. The two meet
// in package graph.
//
// Two modes. In fast mode an operator calls user code bare: a failure sticks to
// the lane's Ctx, a panic is recovered once per batch by the lane. In careful
// mode (graph.Run.Careful, the replay after a failure) each user call is guarded
// by itself, so that exactly the failing element is found, and nothing of what
// it had begun stays behind.
package flow
