package natsbus

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"time"
)

// secrets encrypt connections for frames. Certificates say nothing of who the other side is:
// that is for the token.
type secrets struct{ accepts, dials *tls.Config }

// newSecrets makes a key of this process, and a certificate that nobody has to trust.
func newSecrets() (*secrets, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().AddDate(100, 0, 0)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &secrets{
		accepts: &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}},
		dials:   &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}, // see secrets
	}, nil
}

// meet encrypts a connection, if that is wanted, and lets both sides prove that they know the
// token.
func (d *Direct) meet(raw net.Conn, dialled bool) (net.Conn, error) {
	if err := raw.SetDeadline(time.Now().Add(dialMax)); err != nil {
		return nil, err
	}
	conn, bound := raw, []byte(nil)
	if d.secrets != nil {
		var err error
		if conn, bound, err = d.secrets.encrypt(raw, dialled); err != nil {
			return nil, fmt.Errorf("the other side does not encrypt as this one does: %w", err)
		}
	}
	prove := accepts
	if dialled {
		prove = dials
	}
	if err := prove(conn, d.cfg.Job, d.cfg.Token, bound); err != nil {
		return nil, err
	}
	return conn, raw.SetDeadline(time.Time{})
}

// encrypt returns the connection as it is from now on, and what only its two ends know.
func (s *secrets) encrypt(raw net.Conn, dialled bool) (_ net.Conn, bound []byte, err error) {
	conn := tls.Server(raw, s.accepts)
	if dialled {
		conn = tls.Client(raw, s.dials)
	}
	if err := conn.Handshake(); err != nil {
		return nil, nil, err
	}
	state := conn.ConnectionState()
	bound, err = state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
	return conn, bound, err
}
