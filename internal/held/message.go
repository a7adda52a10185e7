package held

// Data heads one frame.
type Data struct {
	Gen   Gen
	Src   int
	Dst   int
	Inc   Inc // that made the epoch
	Epoch Epoch
	Class Class
	Frame int
	Size  int // of the frame, in bytes
	To    Inc // of Dst, the newest that Src knew of when it sent the frame first; 0: none
}

// End follows the frames of an epoch. Nothing is sent for an epoch without frames.
type End struct {
	Gen     Gen
	Src     int
	Dst     int
	Inc     Inc
	Epoch   Epoch
	Prev    Epoch // the epoch before it that had frames for Dst
	Colour  Cut
	Version Version // of the assignment that its frames follow
	Counts  []int   // of frames, by class
	Marks   []byte
}

// Ack says that Dst holds an epoch of Src, all of it.
type Ack struct {
	Gen     Gen
	Dst     int
	DstInc  Inc
	Process uint64 // where it is held: a failure domain
	Standby bool   // it is a standby of Dst that holds it
	Src     int
	SrcInc  Inc
	Epoch   Epoch
}

// State is what a slot tells all others, often and after each commit. It is heartbeat,
// hello, the news of commits, credit and trimming in one.
type State struct {
	Gen     Gen
	Slot    int
	Inc     Inc
	N       uint64 // rises with each State of an incarnation
	Process uint64
	History []Span
	Epoch   Epoch // the last that is committed
	Colour  Cut   // of its record
	Tag     Tag
	Last    []Epoch
	Marks   []byte
	At      [][]Pos // by source and class: of the record
	Have    []Epoch // by source: the last epoch that is held or applied with all before it
	Seen    []Inc   // by source: the newest incarnation known
	Moves   Moves
	Full    bool // it is at a bound: sources stop
	Lost    bool // something committed is in no memory: only a rollback helps
	Waits   bool // its input has ended, and what its sinks have waits for a cut
}

// News is what a leader tells all: the job record, the cut it asks for, and whether the
// sources of all slots are to rest.
type News struct {
	Job   Job
	Asked Cut
	Told  uint64 // rises with each that a leader tells; 0: it is read from the register, and nothing is known of Rest
	Rest  bool   // sources are to rest
}
