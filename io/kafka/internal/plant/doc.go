// Package plant names bugs that can be planted in the code that writes to Kafka, to
// show that the simulation finds them. Without the build tag "planted" Is is false
// always, and the compiler leaves nothing of what hangs on it.
package plant

// Bug is one that can be planted.
type Bug string

// The bugs.
const (
	None Bug = ""

	EndBelieved     Bug = "a commit of unknown outcome is believed"
	NoLook          Bug = "what was lost is written again, and nobody looks whether it is there"
	AbortedDropped  Bug = "what was in an aborted transaction is not written again"
	OtherIgnored    Bug = "a writer goes on though another one has taken over"
	NoMark          Bug = "a writer that opens does not say so"
	OffByOne        Bug = "a transaction that is there is taken for one that is missing"
	StateDropped    Bug = "the batches of a state are not written again"
	LookBeforeFence Bug = "the position is read before the fence"
)

// All is all bugs.
var All = []Bug{EndBelieved, NoLook, AbortedDropped, OtherIgnored, NoMark, OffByOne, StateDropped, LookBeforeFence}
