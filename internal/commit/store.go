package commit

// The groups of rows that belong to no key.
const (
	// LaneBound rows belong to the lane that wrote them. When the number of lanes
	// has changed, those of lane l go to lane l modulo the new number.
	LaneBound = -1
	// EveryLane rows belong to the lane that wrote them, too; but when the number of
	// lanes has changed, all lanes read all of them.
	EveryLane = -2
)

// Row is one row of state.
type Row struct {
	Node  string
	Lane  int // that wrote it; names a row of LaneBound and EveryLane, counts for nothing in one of a key
	Group int // of the key, in [0, keygroup.N), or LaneBound, or EveryLane
	Key   []byte
	Val   []byte
}

// RowWriter takes the changed rows of one operator on one lane. The slices are its
// to copy. It is a graph.DeltaWriter.
type RowWriter interface {
	Put(group int, key, val []byte)
	Append(group int, key, val []byte) // who reads the row sees the values of all appends since the last Put or Delete, concatenated
	Delete(group int, key []byte)
}

// Store keeps the epochs of one slot. Its implementations: memory, files
// (internal/statelog), Pebble (internal/statepebble).
//
// One goroutine drives it, but Rows, Get and Scan may be called by several at once.
type Store interface {
	// Last is the record of the newest committed epoch; nil at the start of a job.
	Last() *Record
	// Rows calls f with every row of the newest committed epoch that want wants, once
	// each, in no order, until f fails. The slices are valid during the call only.
	Rows(want Want, f func(Row) error) error
	// Begin opens the epoch behind Last, for so many lanes. At most one is open.
	Begin(lanes int) Epoch
	// WantsWhole asks that the next epoch hold all rows, as if the store were empty
	// before: so that what is older can be dropped.
	WantsWhole() bool
	// Close lets go of the store. What is not committed is lost.
	Close() error
}

// Parted is a Store to which all rows can be given in parts, one with an epoch.
type Parted interface {
	Store
	// WantsPart asks that the next epoch hold, beside what has changed, all rows of a part,
	// as if none of them had been there before.
	WantsPart() Part
}

// Part chooses rows.
type Part struct {
	Lane   bool                 // those of LaneBound and EveryLane
	Groups func(group int) bool // those of keys of such groups; nil: none
}

// Want chooses rows. A nil function chooses all.
type Want struct {
	Node  func(name string) bool
	Lane  func(lane int) bool  // of LaneBound rows; EveryLane rows are always wanted
	Group func(group int) bool // of the rows of keys
}

// Joint is a store whose newest epoch may be of a whole job, of any number of slots: a
// savepoint. Its lanes are those of the job, and a slot takes what is its own.
type Joint interface {
	Store
	Joint() bool
}

// Epoch is an epoch that is being written.
type Epoch interface {
	// Whole says that the epoch holds all rows; called before the first Lane. Without
	// it the epoch holds what has changed since the last one.
	Whole()
	// Relaned says that the epoch holds all rows of LaneBound and EveryLane, since the
	// number of lanes has changed: those of earlier epochs are gone, the rows of keys
	// are not. Called before the first Lane.
	Relaned()
	// Lane is where one lane writes, on its own goroutine, until Commit or Discard.
	// Errors stick, and come out of Commit.
	Lane(lane int) LaneWriter
	// Commit makes the epoch with rec, whose Epoch it sets, the store's newest one. When it
	// returns nil, no crash loses it; when it fails, the store is as it was, and the
	// epoch is over. Where the disk is full it waits for room, and says so to whoever
	// opened the store. It may run on another goroutine than the rest, and reading the
	// epochs before goes on meanwhile.
	Commit(rec *Record) error
	// Discard gives the epoch up.
	Discard()
}

// LaneWriter is a RowWriter for the node named last.
type LaneWriter interface {
	RowWriter
	Node(name string)
}

// Pages is a store whose rows need not be in memory: they can be read one by one.
type Pages interface {
	Store
	// Get appends the value of a key's row, as of the newest committed epoch, to buf.
	Get(node string, group int, key, buf []byte) (val []byte, ok bool, err error)
	// Scan calls f with the rows of one group whose keys begin with prefix, in the
	// order of keys, until f fails. The slices are valid during the call only.
	Scan(node string, group int, prefix []byte, f func(key, val []byte) error) error
}
