// Package cluster is who belongs to a distributed job: processes join it, are given
// slots, are lost and replaced, and leave it. What is decided is decided by pure state
// machines; drivers feed them from a [Transport], which carries their messages.
//
// None of this is on the way of data, and none of it has to be right for a job to be:
// who owns a slot is settled by its register. A message here may be lost, doubled or late.
package cluster
