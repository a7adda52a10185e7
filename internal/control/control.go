// Package control is how others talk to a running job: HTTP over a socket in the
// job's folder, which only the user who started it can open, and if asked on a TCP
// address. What can be asked for is little, and nothing names a file:
//
//	GET  /status           who runs, and the runner's account of the job, as JSON
//	GET  /savepoints       the savepoints of the job's folder, as JSON
//	POST /savepoint?name=N makes a savepoint, and answers with its path; without a name it gets one by the time
//
// An answer that is not 200 is {"error": "a sentence"}.
package control

import (
	"context"
	"encoding/json"
	"time"
)

// Job is what a runner lets others do with the job that it runs. Its methods are
// called by several goroutines at once.
type Job interface {
	// Status is the runner's account of the job: something that encoding/json writes.
	Status() any
	// Savepoint makes a savepoint of that name, which has been checked, in the job's
	// folder. It returns when the savepoint is durable, or ctx ends.
	Savepoint(ctx context.Context, name string) (path string, err error)
}

// Status is the answer to /status.
type Status struct {
	Pid     int             `json:"pid"`
	Started time.Time       `json:"started"`
	Job     json.RawMessage `json:"job"`
}

// made is the answer to /savepoint.
type made struct {
	Name string `json:"name"`
	Path string `json:"path"`
}

type failure struct {
	Error string `json:"error"`
}
