package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
)

// overTCP has one connection to the other worker, and one from it, for frames that begin with
// their length. take is called for each without that, in memory that room gives.
func (c *child) overTCP(ctx context.Context, room func(n int) []byte, take func(frame []byte)) (send func(frame []byte) error, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	all, err := c.meet(l.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	to, err := new(net.Dialer).DialContext(ctx, "tcp", all[c.other()])
	if err != nil {
		return nil, nil, err
	}
	from, err := l.Accept()
	if err != nil {
		to.Close()
		return nil, nil, err
	}
	send = func(frame []byte) error {
		_, err := to.Write(frame)
		return err
	}
	var reading sync.WaitGroup
	reading.Go(func() { read(from, room, take) })
	return send, func() { to.Close(); reading.Wait(); from.Close() }, nil
}

// read takes frames in until the connection ends.
func read(from net.Conn, room func(n int) []byte, take func(frame []byte)) {
	r := bufio.NewReaderSize(from, 256<<10)
	var head [4]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return
		}
		frame := room(int(binary.LittleEndian.Uint32(head[:])))
		if _, err := io.ReadFull(r, frame); err != nil {
			return
		}
		take(frame)
	}
}
