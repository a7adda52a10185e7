package held

// Record is what a slot commits with an epoch: all that a takeover needs.
type Record struct {
	Gen     Gen
	Slot    int
	Inc     Inc
	Epoch   Epoch
	History []Span  // of incarnations, the newest last
	Colour  Cut     // the newest cut that is tagged
	Tag     Tag     // the newest, of this generation
	Last    []Epoch // by receiver: the last epoch that had frames for it
	Marks   []byte  // watermarks at the end of Epoch, for those who get no frames
	At      [][]Place
	Groups  Groups
	Kept    []Kept  // epochs with a durable copy that a receiver may still need
	Chunks  []Chunk // of the changelog, in order; replay passes over all others
	State   []byte  // what the driver adds: positions of sources, timers, the outbox
	Rests   bool    // sources rest behind it
	Word    uint64  // the version of the job record by whose leader's word that is so; 0: nobody's yet
	Unshown bool    // outputs of before its epoch, or that its sinks do not have yet, are not shown
}

// Ident names the record.
func (r *Record) Ident() Ident { return Ident{r.Gen, r.Inc, r.Epoch} }

// applied is how far the record has applied a source, by class; none where it has never
// heard of one, or there is no record.
func (r *Record) applied(src int) (at []Pos) {
	if r == nil || src >= len(r.At) {
		return nil
	}
	for _, p := range r.At[src] {
		at = append(at, p.Pos)
	}
	return at
}

// Place is how far a class of one source is applied, and the watermarks heard last.
type Place struct {
	Pos
	Marks   []byte
	Version Version // of the newest assignment that something taken in follows
	Late    []byte  // watermarks that were heard and are not to be believed yet
}

// Tag says which record of a slot is its part of a cut. A void one has a hole: the
// slot could not name copies of all that is under way.
type Tag struct {
	Cut  Cut
	At   Ident
	Void bool

	Version Version // of the assignment that the record follows
	Moving  bool    // groups are under way
}

// Kept is one epoch's frames for one receiver.
type Kept struct {
	Dst     int
	Inc     Inc     // that made it
	Epoch   Epoch   // that it is
	Prev    Epoch   // the epoch before it that had frames for Dst
	Colour  Cut     // the newest cut before it
	Version Version // of the assignment that it follows
	Frames  [][]int
	Marks   []byte
}

// Chunk names chunks of a changelog: those of Count epochs of an incarnation that follow
// each other, up to Epoch. CRC is of them all, one behind the other.
type Chunk struct {
	Gen   Gen
	Inc   Inc
	Epoch Epoch
	Count uint64
	CRC   uint64
}

// Job is the job record, the only place where cuts are completed and rollbacks are
// decided.
type Job struct {
	Version uint64 // rises with each change
	Gen     Gen
	Cut     Cut        // the last complete one
	At      []Ident    // by slot: its record in Cut; an empty one for Cut 0
	Settled bool       // in Cut all slots follow Assignment, and no group is under way
	Groups  Assignment // the newest
}
