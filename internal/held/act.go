package held

// Act is one thing that the driver of a [Slot] or a [Leader] has to do.
type Act interface{ act() }

type (
	// CutNow asks for a cut of the open epoch, as soon as lanes can: [Slot.Turn], then
	// [Slot.Cut].
	CutNow struct{}
	// SendEnd sends the end of an epoch that was just cut. Its frames were sent before.
	SendEnd struct{ End End }
	// Resend sends the frames of an epoch again, and its end.
	Resend struct{ Kept Kept }
	// SendAck sends an acknowledgement to its Src.
	SendAck struct{ Ack Ack }
	// SendState sends a state to all slots and to whoever leads.
	SendState struct{ State State }
	// WriteCopies makes copies of epochs durable: [Slot.CopiesDurable].
	WriteCopies struct{ Kept []Kept }
	// Commit puts the record into the slot's register: [Slot.Committed]. When the
	// register is fenced, the driver stops the slot. A tagged record has to be durable
	// by its name, too, before it is put.
	Commit struct{ Record *Record }
	// Wake says that there is something to take in for lanes, or room that was not.
	Wake struct{}
	// Drop frees what is left of an epoch that was received. Frames that a lane has taken
	// are to be freed when it asks for the next: other classes may keep their epoch long.
	Drop struct {
		Src   int
		Inc   Inc
		Epoch Epoch
	}
	// Trim frees what is kept for Dst, up to Epoch. Durable copies stay as long as a
	// record names them.
	Trim struct {
		Dst   int
		Epoch Epoch
	}
	// Adopt reads what another slot has taken out of groups, by (Slot, and of each Given
	// its Inc, Epoch and Group), until it is there: [Slot.Adopted]. It is durable.
	Adopt struct {
		Slot  int
		Given []Given
	}
	// Finalise says that outputs of epochs up to Epoch are final.
	Finalise struct{ Epoch Epoch }
	// Peek reads the register of a slot that is silent: [Slot.Peeked].
	Peek struct{ Slot int }
	// ReadJob reads the job register, as somebody knows a newer generation: [Slot.News].
	ReadJob struct{}
	// Stop ends the slot or the leader at once. It does nothing more.
	Stop struct{ Why Why }
	// SendNews sends what a leader tells to all.
	SendNews struct{ News News }
	// Fetch reads the records that At names, and for each slot where that is empty what
	// a quorum of its register's acceptors holds, which is to be made durable by its
	// name, too: [Leader.Fetched].
	Fetch struct {
		Cut Cut
		At  []Ident
	}
	// Look reads the records of a complete cut, of those slots that have one in it:
	// [Leader.Looked]. Since is for [Shown].
	Look struct {
		Cut   Cut
		At    []Ident
		Since uint64
	}
	// PutJob puts the job record into its register: [Leader.Durable]. When the register
	// is fenced, the driver stops the leader.
	PutJob struct{ Job *Job }
)

// Why is why something stops.
type Why uint8

const (
	Outdated   Why = iota // there is a newer incarnation of it
	RolledBack            // the job has a newer generation: the slot is to be taken over again
)

func (w Why) String() string { return [...]string{"outdated", "rolled back"}[w] }

func (CutNow) act()      {}
func (SendEnd) act()     {}
func (Resend) act()      {}
func (SendAck) act()     {}
func (SendState) act()   {}
func (WriteCopies) act() {}
func (Commit) act()      {}
func (Wake) act()        {}
func (Drop) act()        {}
func (Trim) act()        {}
func (Adopt) act()       {}
func (Finalise) act()    {}
func (Peek) act()        {}
func (ReadJob) act()     {}
func (Stop) act()        {}
func (SendNews) act()    {}
func (Fetch) act()       {}
func (Look) act()        {}
func (PutJob) act()      {}
