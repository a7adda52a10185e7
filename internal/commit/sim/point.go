package sim

// Point is a place in the life of a slot where a fault may happen.
type Point uint8

// The points, in the order of an epoch's life, then those of a recovery.
const (
	Running       Point = iota // a lane is about to do something, no cut is open
	Cutting                    // a cut is asked for, not all lanes have reported
	BeforePersist              // all have reported; the store has not been asked
	Syncing                    // the store is about to sync a file of an epoch
	Persisting                 // the store calls the file system
	AheadStep                  // a lane is about to do something while an epoch is persisted
	BeforeShow                 // the epoch is durable, no sink has committed
	Showing                    // some sinks have committed
	Shown                      // all sinks have committed
	Finishing                  // the last epoch is committed, not all sinks are finished
	Opening                    // the store calls the file system while it is opened
	Loading                    // the store is open, not all lanes are
	Points
)

func (p Point) String() string {
	return [...]string{"running", "cutting", "before persist", "syncing", "persisting", "ahead of persist", "before sinks commit", "sinks commit", "sinks have committed",
		"finishing", "opening the store", "loading lanes"}[p]
}

// Kind is what a fault does.
type Kind uint8

// The kinds of faults.
const (
	PowerLoss Kind = iota // process and machine die
	Kill                  // the process dies, the machine lives
	Flip                  // power loss, and a durable byte is not what it was
	Failure               // user code fails: the lanes are torn down and opened again, the process lives
	DiskFull              // for some writes
	SlowSync              // lanes get far while a sync lasts
	BadSync               // a sync fails, and what it should have kept is lost at a power loss
	Kinds
)

func (k Kind) String() string {
	return [...]string{"power loss", "kill", "flip", "failure", "disk full", "slow sync", "bad sync"}[k]
}
