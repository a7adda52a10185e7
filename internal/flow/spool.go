package flow

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"github.com/millrace/millrace/window"
)

// spool is a list of records, written once and read once in order: in memory up
// to budget bytes, the rest in a file.
type spool struct {
	dir    string
	budget int64
	mem    []byte
	f      *os.File
	w      *bufio.Writer
}

func (s *spool) add(rec []byte) error {
	if s.f == nil && (s.budget <= 0 || int64(len(s.mem)+len(rec)) <= s.budget) {
		s.mem = appendBytes(s.mem, rec)
		return nil
	}
	if s.f == nil {
		f, err := os.CreateTemp(s.dir, "held-*")
		if err != nil {
			return fmt.Errorf("spill held elements: %w (is the temporary directory writable and not full?)", err)
		}
		s.f, s.w = f, bufio.NewWriterSize(f, 1<<18)
	}
	var n [binary.MaxVarintLen64]byte
	_, err := s.w.Write(n[:binary.PutUvarint(n[:], uint64(len(rec)))])
	if err == nil {
		_, err = s.w.Write(rec)
	}
	if err != nil {
		return fmt.Errorf("spill held elements to %s: %w", s.f.Name(), err)
	}
	return nil
}

// each calls f for every record and empties the spool.
func (s *spool) each(f func([]byte) error) error {
	mem := s.mem
	s.mem = nil
	for len(mem) > 0 {
		rec, rest, err := takeBytes(mem)
		if err == nil {
			err = f(rec)
		}
		if err != nil {
			return err
		}
		mem = rest
	}
	if s.f == nil {
		return nil
	}
	defer s.close()
	if err := s.w.Flush(); err != nil {
		return fmt.Errorf("spill held elements to %s: %w", s.f.Name(), err)
	}
	if _, err := s.f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read back held elements: %w", err)
	}
	return s.read(s.f, f)
}

// read calls f for every record of the file.
func (s *spool) read(from io.Reader, f func([]byte) error) error {
	r := bufio.NewReaderSize(from, 1<<18)
	var buf []byte
	for {
		n, err := binary.ReadUvarint(r)
		if err == io.EOF {
			return nil
		}
		if err == nil {
			if uint64(cap(buf)) < n {
				buf = make([]byte, n)
			}
			buf = buf[:n]
			_, err = io.ReadFull(r, buf)
		}
		if err != nil {
			return fmt.Errorf("read back held elements from %s: %w", s.f.Name(), err)
		}
		if err := f(buf); err != nil {
			return err
		}
	}
}

func (s *spool) close() {
	if s.f != nil {
		s.f.Close()
		os.Remove(s.f.Name())
		s.f, s.w = nil, nil
	}
}

func appendPane(b []byte, p window.Pane) []byte {
	var flags byte
	if p.First {
		flags |= 1
	}
	if p.Last {
		flags |= 2
	}
	return appendInt(appendInt(append(b, byte(p.Timing), flags), p.Index), p.NonSpeculativeIndex)
}

func takePane(b []byte) (p window.Pane, rest []byte, err error) {
	if len(b) < 2 {
		return p, nil, errShort
	}
	p.Timing, p.First, p.Last = window.Timing(b[0]), b[1]&1 != 0, b[1]&2 != 0
	if p.Index, b, err = takeInt(b[2:]); err == nil {
		p.NonSpeculativeIndex, b, err = takeInt(b)
	}
	return p, b, err
}
