package batch

import (
	"errors"
	"fmt"
)

// CorruptError says that bytes are not what a broker sends: a sum is wrong, or a
// length points outside. Trying the same bytes again is of no use, fetching them
// again may be.
type CorruptError struct {
	Offset int64  // of the first record that could not be read, or of its batch
	Reason string // what is wrong
	Err    error  // what a decompressor said, or ErrTooLarge; nil if there is no more to say
}

func (e *CorruptError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("corrupt batch at offset %d: %s: %v", e.Offset, e.Reason, e.Err)
	}
	return fmt.Sprintf("corrupt batch at offset %d: %s", e.Offset, e.Reason)
}

// Unwrap returns Err.
func (e *CorruptError) Unwrap() error { return e.Err }

var (
	// ErrCodec is for a batch whose sum is right, and whose compression is none
	// that this package knows.
	ErrCodec = errors.New("unknown compression")

	// ErrOldFormat is for messages of format 0 or 1, which Kafka wrote before 0.11
	// (2017) and, on request (log.message.format.version), up to 3.x.
	ErrOldFormat = errors.New("written in a message format from before Kafka 0.11, which is not supported")

	// ErrTooLarge is in a CorruptError if records take more memory, when
	// decompressed, than Options.MaxSize.
	ErrTooLarge = errors.New("more than may be decompressed at once")
)
