package socket

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// connect keeps a connection until the reader is closed.
func (r *reader) connect() {
	wait := time.Duration(0) // none yet
	for r.ctx.Err() == nil {
		n, err := r.dial()
		if r.ctx.Err() != nil {
			return
		}
		wait = min(2*wait, r.most)
		if wait == 0 || n > 0 {
			wait = r.first
		}
		slog.Warn("no connection: trying again", "address", r.address, "lines", n, "in", wait, "why", err)
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-r.ctx.Done():
			t.Stop()
			return
		}
	}
}

// dial connects once, and reads until the connection ends: n lines.
func (r *reader) dial() (n int64, err error) {
	var d net.Dialer
	conn, err := d.DialContext(r.ctx, "tcp", r.address)
	if err != nil {
		return 0, err
	}
	slog.Info("connected", "address", r.address)
	return r.read(conn, r.address)
}

// accept takes connections until the reader is closed.
func (r *reader) accept(l net.Listener) {
	end := context.AfterFunc(r.ctx, func() { l.Close() })
	defer end()
	defer l.Close()
	var open atomic.Int64
	for {
		conn, err := l.Accept()
		if err != nil {
			if r.ctx.Err() == nil {
				r.failed <- fmt.Errorf("listen at %s: %w", r.address, err)
			}
			return
		}
		sender := conn.RemoteAddr().String()
		if open.Add(1) > int64(r.conns) {
			open.Add(-1)
			slog.Warn("too many connections: one is closed", "address", r.address, "from", sender, "most", r.conns)
			conn.Close()
			continue
		}
		r.wg.Go(func() {
			defer open.Add(-1)
			if n, err := r.read(conn, sender); r.ctx.Err() == nil && err != io.EOF {
				slog.Warn("a connection has failed", "from", sender, "lines", n, "why", err)
			}
		})
	}
}

// read passes on the lines of a connection until it ends, n of them, and closes it.
// The error is io.EOF where the other side has closed it.
func (r *reader) read(conn net.Conn, sender string) (n int64, err error) {
	end := context.AfterFunc(r.ctx, func() { conn.Close() })
	defer end()
	defer conn.Close()
	s := bufio.NewScanner(conn)
	s.Buffer(make([]byte, min(4096, r.maxLine+2)), r.maxLine+2) // 2 for its end
	s.Split(wholeLines)
	for s.Scan() {
		text := strings.TrimSuffix(s.Text(), "\r")
		if len(text) > r.maxLine {
			return n, fmt.Errorf("a line is longer than %d bytes (socket.MaxLine)", r.maxLine)
		}
		select {
		case r.lines <- line{text, sender, n}:
			n++
		case <-r.ctx.Done():
			return n, r.ctx.Err()
		}
	}
	switch err := s.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return n, fmt.Errorf("a line is longer than %d bytes (socket.MaxLine)", r.maxLine)
	case err != nil:
		return n, err
	}
	return n, io.EOF
}

// wholeLines is lines without their \n; one that has none is none.
func wholeLines(data []byte, _ bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	return 0, nil, nil
}
