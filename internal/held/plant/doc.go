// Package plant names bugs that can be planted in the cores of the distributed
// protocol, to show that the simulation finds them. Without the build tag "planted" Is
// is false always, and the compiler leaves nothing of what hangs on it.
package plant

// Bug is one that can be planted.
type Bug string

// The bugs, by where they are planted.
const (
	None Bug = ""

	// In held.Slot, as a receiver.
	ApplyUncommitted Bug = "an epoch is applied before it is committed"
	DeadIsHeld       Bug = "an epoch of a dead incarnation is applied by its number"
	GapInEpochs      Bug = "an epoch is applied though one before it is missing"
	FrameTwice       Bug = "a doubled frame counts as the one that is missing"
	ColourIgnored    Bug = "what is behind a cut is applied before the cut is tagged"
	EndIsNoPosition  Bug = "a restored slot takes ends in again"
	OneCredit        Bug = "input waits for room in its own rank, too"
	NoCredit         Bug = "there is always room"
	AppliedIsDurable Bug = "a slot tells what it has applied, not what it has committed"

	// In held.Slot, as a sender.
	CommitUnheld      Bug = "an epoch is committed before its receivers hold it"
	AckOfOtherInc     Bug = "an acknowledgement of an epoch of another incarnation counts"
	AckOfDead         Bug = "an acknowledgement of a receiver that is no more counts"
	AckOfSameProcess  Bug = "an acknowledgement from the same process counts"
	TrimAcrossCut     Bug = "what a receiver has applied behind a cut is forgotten before the cut is tagged"
	CopiesNotNamed    Bug = "a tagged record does not name copies"
	CopiesNamedLate   Bug = "a tagged record names what is still kept when it is committed"
	CopiesNotDurable  Bug = "a record names copies that are not written yet"
	CopiesDropped     Bug = "the record of a takeover forgets the copies"
	AckForCopy        Bug = "with the log, an acknowledgement does instead of a copy"
	OwnCopiesOnly     Bug = "a record names the copies of its own epoch alone"
	NeverVoid         Bug = "a tag is not void where something under way is not kept"
	NeverResent       Bug = "what is not acknowledged is not sent again"
	ChunksOfBefore    Bug = "a record names the changelog of the epoch before"
	ChangelogNotAwait Bug = "an epoch is committed before its changelog is durable"

	// In held.Slot, between two assignments of key groups.
	VersionIgnored    Bug = "an epoch of a newer assignment is taken in before it is followed"
	GiveByOneRank     Bug = "a group is given when its input of the last rank alone is taken in"
	NotParked         Bug = "input of a group that is not here is taken in"
	NotFrozen         Bug = "watermarks go on while a group is under way"
	LateMarksLost     Bug = "watermarks of the last epoch before an assignment are left out"
	NotDrained        Bug = "a group is adopted while output of its old owner is under way"
	ParkedIsPassed    Bug = "what comes for an adopted group passes what is parked"
	HandOverAcrossCut Bug = "a group is handed over across a cut that is not tagged"
	GivenIsForgotten  Bug = "a group that was given is forgotten before its new owner has it"
	AssignedTooSoon   Bug = "an assignment is issued while the one before is under way"

	// In held.Slot, at a bound.
	Overfull       Bug = "sources go on though the slot is at a bound"
	OthersOverfull Bug = "sources go on though another slot is at a bound"
	AnyAheadIsHeld Bug = "frames of incarnations that nobody has told of are held without a bound"
	ToAnyone       Bug = "frames don't say which incarnation of their receiver has made room for them"

	// In held.Slot, as a whole.
	GenerationIgnored Bug = "messages of other generations are taken"
	ReplacedWakes     Bug = "sources go on at the word of a leader that was replaced"
	OvertakenWakes    Bug = "sources go on at a word of the leader that a later one has overtaken"
	ZombieGoesOn      Bug = "a slot goes on though somebody knows a newer incarnation"
	KeptNotLeft       Bug = "who begins again in the same process does not keep what was kept"
	AppliedNotLeft    Bug = "who begins again in the same process does not hold what was applied"
	LossNotSeen       Bug = "nobody says that something is lost"
	LateIsLoss        Bug = "what a source has said before a takeover shows that its log went back"
	NewestNotCut      Bug = "a rollback begins behind the newest record"
	ShowOnTag         Bug = "outputs are final with the slot's own part of a cut"
	HistoryForgotten  Bug = "a takeover does not say which epochs were its predecessor's"

	// In held.Leader.
	TagsOfOldGeneration Bug = "a cut is completed from tags of the generation before"
	VoidCompletes       Bug = "a void tag counts"
	SilentAnyway        Bug = "a silent slot is represented though something is under way"
	GroupsAnyway        Bug = "a silent slot is represented by a record that has a group twice, or nowhere, beside the others"
	CutWithoutOne       Bug = "a cut is complete without one slot"
	NeverUnderWay       Bug = "a savepoint is made of any complete cut"
	MovingIsQuiet       Bug = "a savepoint is made while a key group is under way"
	RestIsNotHeld       Bug = "the cut of a savepoint is followed by another while it is read"
	DrainedUnshown      Bug = "a job is drained while outputs wait to be shown"
	DrainedAwake        Bug = "a job is drained before all sources rest"
	RestsByOldWord      Bug = "a job is drained by records that rest by the word of a leader that was replaced"
	DrainedByOldCut     Bug = "a job is drained by a cut from before that was wished"
	DrainedWakes        Bug = "sources go on when a job is drained"

	// In held.Register.
	UnknownIsOK    Bug = "a put without an answer counts as done"
	NotFenced      Bug = "a newer ballot does not fence"
	FencedInTime   Bug = "a newer ballot fences only while a put waits for it"
	StaleIsWritten Bug = "an acceptor does not compare before it sets"
	AdoptAny       Bug = "a takeover adopts any value, not the newest"
	NewVotes       Bug = "an acceptor that was put in place of another one votes at once"
	VoteTooSoon    Bug = "an acceptor votes as of a put that began before it was known to be empty"
	OneIsEnough    Bug = "one acceptor of three is enough"
)

// All is all bugs.
var All = []Bug{
	ApplyUncommitted,
	DeadIsHeld,
	GapInEpochs,
	FrameTwice,
	ColourIgnored,
	EndIsNoPosition,
	OneCredit,
	NoCredit,
	AppliedIsDurable,
	CommitUnheld,
	AckOfOtherInc,
	AckOfDead,
	AckOfSameProcess,
	TrimAcrossCut,
	CopiesNotNamed,
	CopiesNamedLate,
	CopiesNotDurable,
	CopiesDropped,
	AckForCopy,
	OwnCopiesOnly,
	NeverVoid,
	NeverResent,
	ChangelogNotAwait,
	ChunksOfBefore,
	VersionIgnored,
	GiveByOneRank,
	NotParked,
	NotFrozen,
	LateMarksLost,
	NotDrained,
	ParkedIsPassed,
	HandOverAcrossCut,
	GivenIsForgotten,
	AssignedTooSoon,
	Overfull,
	OthersOverfull,
	AnyAheadIsHeld,
	ToAnyone,
	GenerationIgnored,
	ReplacedWakes,
	OvertakenWakes,
	ZombieGoesOn,
	KeptNotLeft,
	AppliedNotLeft,
	LossNotSeen,
	LateIsLoss,
	NewestNotCut,
	ShowOnTag,
	HistoryForgotten,
	TagsOfOldGeneration,
	VoidCompletes,
	SilentAnyway,
	GroupsAnyway,
	CutWithoutOne,
	NeverUnderWay,
	MovingIsQuiet,
	RestIsNotHeld,
	DrainedUnshown,
	DrainedAwake,
	RestsByOldWord,
	DrainedByOldCut,
	DrainedWakes,
	UnknownIsOK,
	NotFenced,
	FencedInTime,
	StaleIsWritten,
	AdoptAny,
	NewVotes,
	VoteTooSoon,
	OneIsEnough,
}
