// Package plant names bugs that can be planted in the code that commits, to show
// that the simulation finds them. Without the build tag "planted" Is is false
// always, and the compiler leaves nothing of what hangs on it.
package plant

// Bug is one that can be planted.
type Bug string

// The bugs, by where they are planted.
const (
	None Bug = ""

	// In commit.Cycle.
	CutWhilePersisting Bug = "a second epoch is begun before the first is committed"
	ShowBeforeDurable  Bug = "sinks commit before the record is durable"
	EndForgotten       Bug = "nobody asks for the last cut when lanes finish while an epoch is made durable"
	RestartForNothing  Bug = "a restart does not ask whether anything has moved"

	// In a driver, a lane or a sink.
	AckBeforeDurable   Bug = "sources are acknowledged at the cut"
	AckNewest          Bug = "sources are acknowledged up to what is read, not up to the cut"
	NotFinalised       Bug = "recovery forgets prepared transactions"
	AbortDurable       Bug = "a torn-down sink aborts what is durable"
	PositionOfEarlier  Bug = "the record has the positions of the epoch before"
	PositionOfNext     Bug = "the record has a position that is one too far"
	DeltaAtRescale     Bug = "an epoch of another number of lanes is a delta"
	RowsOfOldLanes     Bug = "rows of lanes that are no more are not loaded"
	PreparedNotInState Bug = "a sink's state is written before it is prepared"
	OneBarrierTooFew   Bug = "a lane cuts when all but one barrier have come"
	ClearNotWritten    Bug = "a keeper forgets to delete a cleared row"

	// Where sinks wait for cuts of the job.
	ShownBeforeFinal   Bug = "sinks show what is durable, and not named by a cut"
	StartedBeforeFinal Bug = "sinks are started at a takeover, and may show what they had prepared"
	PreparedForgotten  Bug = "the record does not say that something is prepared"
	HeldForgotten      Bug = "what waits in front of a sink is lost at a takeover"
	HeldTwice          Bug = "what a sink was given waits in front of it again after a takeover"
	HeldNotWhole       Bug = "an epoch of all rows holds only what came last of what waits in front of a sink"

	// In the file store.
	NoSyncFile        Bug = "a commit does not sync its file"
	NoSyncDir         Bug = "a new file's name is not made durable"
	NoChecksum        Bug = "checksums of rows are not looked at"
	DeltasReversed    Bug = "epochs are replayed from the newest to the oldest"
	AppendTwice       Bug = "an append is replayed twice"
	DeleteIgnored     Bug = "a delete is not replayed"
	KeysByLane        Bug = "rows of keys are told apart by the lane that wrote them"
	RelanedForgotten  Bug = "rows of lanes that are no more are loaded for ever"
	BaseRemovedEarly  Bug = "the old base is removed before the new one is durable"
	FallbackMixes     Bug = "rows of a damaged epoch are believed, its record is not"
	FallbackFar       Bug = "recovery falls back one epoch too far"
	TornIsError       Bug = "a torn end is taken for damage"
	UnsyncedBelieved  Bug = "what recovery has read is not made durable"
	FailedSyncRetried Bug = "a sync that failed is tried again, and believed"
	NotRevoked        Bug = "an epoch whose commit has failed may be found by recovery"
	AcknowledgedEarly Bug = "an epoch is acknowledged before it is synced"
	OldNeverRemoved   Bug = "old files stay"
)

// All is all bugs that the simulation of a slot finds.
var All = []Bug{
	CutWhilePersisting,
	ShowBeforeDurable,
	EndForgotten,
	RestartForNothing,
	AckBeforeDurable,
	AckNewest,
	NotFinalised,
	AbortDurable,
	PositionOfEarlier,
	PositionOfNext,
	DeltaAtRescale,
	RowsOfOldLanes,
	PreparedNotInState,
	OneBarrierTooFew,
	ClearNotWritten,
	NoSyncFile,
	NoSyncDir,
	NoChecksum,
	DeltasReversed,
	AppendTwice,
	DeleteIgnored,
	KeysByLane,
	RelanedForgotten,
	BaseRemovedEarly,
	FallbackMixes,
	FallbackFar,
	TornIsError,
	UnsyncedBelieved,
	FailedSyncRetried,
	NotRevoked,
	AcknowledgedEarly,
	OldNeverRemoved,
}

// OnCuts is the bugs of sinks that wait for cuts, which internal/engine/shuffletest finds.
var OnCuts = []Bug{
	ShownBeforeFinal,
	StartedBeforeFinal,
	PreparedForgotten,
	HeldForgotten,
	HeldTwice,
	HeldNotWhole,
}
