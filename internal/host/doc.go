// Package host runs one slot of a distributed job: it drives the core of internal/held
// and the engine of the slot's lanes.
//
// A [Host] is one incarnation of a slot. It carries messages and frames, puts records
// into the slot's register, and is the Shuffle and the Store of the engine. A [Leader]
// drives the leader's core. Of NATS it knows nothing: what carries and keeps things is
// given to it, internal/natsbus in production.
package host
