package commit

// Record is what an epoch's commit says. With the rows of its epoch and of all
// before it, it is all that a slot is restored from.
type Record struct {
	Epoch    uint64 // counts from 1 over the life of the job, restarts included
	Lanes    int    // of the run that cut it
	Slots    int    // in a savepoint of a job of several, among which the lanes are divided; else 0
	Hint     int    // for how many lanes sources were asked to split, when the job began
	Manifest Manifest
	Splits   map[string][]Split // by the name of the root
	Times    []Time
	Ended    bool   // all input has ended: the sinks have still to be finished, if at all
	Prepared uint64 // at the end of which epoch sinks have prepared what they have perhaps not shown yet; 0: nothing, or they show it with this epoch
	Shuffle  []byte // how far the slot has taken in what other slots sent, in the shuffle's own making; nil in a job of one slot
}

// Split is how far a piece of a source is read.
type Split struct {
	ID   string
	Done bool
	Pos  []byte // of the reader's own making
	Lane int    // that had it open; -1: none
}

// Time is the watermark of one operator on one lane, in Unix ms.
type Time struct {
	Node    string
	Lane    int
	In, Out int64
}

// Manifest is the graph that made an epoch, as far as an upgrade has to know it.
type Manifest struct {
	Hash  uint64 // of the graph
	Nodes []Node // in the order of construction
}

// Node is a transform of a manifest.
type Node struct {
	Name      string // ties rows to the code
	Kind      string
	Position  string // file:line
	Windowing string
	Key       string   // coder of the key; "" without keys
	State     []string // declared parts of a row, in order: "value seen beam:coder:varint:v1"
	Out       []string // coders of the outputs
	Source    bool
	Stateful  bool // has rows
}
