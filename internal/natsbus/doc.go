// Package natsbus carries what slots say to each other, and keeps what they decide,
// over NATS. No other package but runners/distributed knows a type of NATS.
//
//	Server     a NATS server in this process, alone or in a mesh
//	Bus        two connections of a job: data and control
//	 Plane     frames from slot to slot, over NATS, directly over TCP ([Direct]), or over
//	           servers in their processes ([Routed])
//	 Control   small messages, and commands with answers
//	Store      a connection to one server with JetStream
//	 Acceptor  values by key that are changed by compare-and-set
//	 Changelog chunks of state by slot
//	 Copies    chunks of what slots have for others
//	Objects    snapshots, in JetStream or in a folder
//
// What is sent may be lost, doubled and late, and is counted where that is noticed;
// the protocol above makes good for it. What is kept is as durable as the server that
// keeps it: see [ServerConfig.SyncAlways].
//
// Subjects begin with millrace and the name of the job, streams with MR and that
// name: jobs that share a server don't meet.
package natsbus
