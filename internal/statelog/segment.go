package statelog

import (
	"fmt"
	"io"

	"github.com/millrace/millrace/internal/commit/plant"
)

// segment is a file of epochs. It is written from one end to the other by one
// incarnation of a log; what comes later goes into the next one.
type segment struct {
	header
	seed uint32 // of its sums
	file File   // nil: not begun, or closed
	end  int64  // where the next frame goes
	ack  File   // nil until something is committed
	mute bool   // acknowledgements can't be written

	temp bool // it is not called what it will be
}

func newSegment(h header) *segment {
	h.magic = logMagic
	return &segment{header: h, seed: h.seed()}
}

func (s *segment) name() string {
	if s.temp {
		return fileName(s.seq, tempExt)
	}
	return fileName(s.seq, logExt)
}

// create makes the file and its header durable: a file whose header is damaged, and
// which is longer, was damaged later. It may be called again when it has failed.
func (s *segment) create(fs FS) error {
	s.close()
	f, err := fs.Create(s.name())
	if err != nil {
		return fmt.Errorf("create %s: %w", s.name(), err)
	}
	if _, err = f.Write(s.encode()); err == nil {
		err = f.Sync()
	}
	if err == nil && !plant.Is(plant.NoSyncDir) {
		err = fs.SyncDir()
	}
	if err != nil {
		f.Close()
		return fmt.Errorf("begin %s: %w", s.name(), err)
	}
	s.file, s.end = f, headerSize
	return nil
}

// publish gives a temporary file its name. It may be called again when it has failed.
func (s *segment) publish(fs FS) error {
	if s.temp {
		if err := fs.Rename(s.name(), fileName(s.seq, logExt)); err != nil {
			return fmt.Errorf("rename %s: %w", s.name(), err)
		}
		s.temp = false
	}
	if err := fs.SyncDir(); err != nil {
		return fmt.Errorf("make the name of %s durable: %w", s.name(), err)
	}
	return nil
}

// write appends b. When the disk is full it can be called again with what is left of b.
func (s *segment) write(b []byte) (left []byte, err error) {
	n, err := s.file.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	s.end += int64(n)
	if err != nil {
		return b[n:], fmt.Errorf("write %s: %w", s.name(), err)
	}
	return nil, nil
}

func (s *segment) sync() error {
	if plant.Is(plant.NoSyncFile) {
		return nil
	}
	err := s.file.Sync()
	if err != nil && plant.Is(plant.FailedSyncRetried) {
		err = s.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("sync %s: %w", s.name(), err)
	}
	return nil
}

// acknowledge notes that an epoch is committed, so that its loss can be told from a
// crash before its commit. It is a hint: it is not synced and may fail.
func (s *segment) acknowledge(fs FS, epoch uint64) {
	if s.mute {
		return
	}
	h := s.header
	h.magic = ackMagic
	var b []byte
	if s.ack == nil {
		f, err := fs.Create(fileName(s.seq, ackExt))
		if err != nil {
			s.mute = true
			return
		}
		s.ack, b = f, h.encode()
	}
	b = appendAck(b, h.seed(), epoch)
	if n, err := s.ack.Write(b); err != nil || n < len(b) {
		s.mute = true // half of one would misplace those behind it
	}
}

// close lets go of the files. What is not synced may be lost.
func (s *segment) close() {
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
	if s.ack != nil {
		s.ack.Close()
		s.ack, s.mute = nil, true
	}
}
