// Package socket is sources of lines from TCP connections: one that connects to an
// address, and one that others connect to.
//
// Lines are seen at most once. TCP has nobody who would send them again: what is
// lost when a connection breaks is lost, and so is, when the run ends or goes back to
// a snapshot, what was read from the network and whose effects are not in the
// snapshot. Where that matters, have senders use package webhook, which answers, or
// put a log such as Kafka between.
package socket
