package natsbus

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
)

// Who accepts a connection for frames and who has dialled prove to each other that they
// know the token of the job, without saying it:
//
//	accepts ► dials    hello (8), a (32)
//	dials ► accepts    b (32), mac("dials", a, b, bound) (32)
//	accepts ► dials    mac("accepts", a, b, bound) (32)
//
// a and b are random, a mac is HMAC-SHA256 by the token of these words and the job's name.
// bound is of a connection that is encrypted, a secret of its two ends (RFC 9266): who stands
// between them has two connections, and two of it. Otherwise it is empty.
const hello = "MRDIRCT1"

const nonceSize = 32

var errHandshake = errors.New("the other side doesn't know the token of the job")

// accepts is the handshake of the side that accepts.
func accepts(conn net.Conn, job, token string, bound []byte) error {
	a := nonce()
	if _, err := conn.Write(append([]byte(hello), a...)); err != nil {
		return err
	}
	var answer [nonceSize + sha256.Size]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return fmt.Errorf("%w: %w", errHandshake, err)
	}
	b := answer[:nonceSize]
	if !hmac.Equal(answer[nonceSize:], proof(token, "dials", job, a, b, bound)) {
		return errHandshake
	}
	_, err := conn.Write(proof(token, "accepts", job, a, b, bound))
	return err
}

// dials is the handshake of the side that has dialled.
func dials(conn net.Conn, job, token string, bound []byte) error {
	var first [len(hello) + nonceSize]byte
	if _, err := io.ReadFull(conn, first[:]); err != nil {
		return err
	}
	if string(first[:len(hello)]) != hello {
		return errors.New("the other side is no process of a job, or of another version")
	}
	a, b := first[len(hello):], nonce()
	if _, err := conn.Write(append(b, proof(token, "dials", job, a, b, bound)...)); err != nil {
		return err
	}
	var answer [sha256.Size]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return fmt.Errorf("the other side has another job or another token: %w", err)
	}
	if !hmac.Equal(answer[:], proof(token, "accepts", job, a, b, bound)) {
		return errHandshake
	}
	return nil
}

func proof(token, role, job string, a, b, bound []byte) []byte {
	mac := hmac.New(sha256.New, []byte(token))
	fmt.Fprintf(mac, "%s %d ", role, len(job))
	mac.Write([]byte(job))
	mac.Write(a)
	mac.Write(b)
	mac.Write(bound)
	return mac.Sum(nil)
}

func nonce() []byte {
	b := make([]byte, nonceSize)
	_, _ = rand.Read(b) // never fails
	return b
}
