package natsbus

import (
	"cmp"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// A server in a process of a job shows a certificate that nobody has signed. Its key is made
// of the job's token, so that who knows that has the public half, too, and needs no file to
// tell the server from somebody in between. use is what it is for. What can be seen of the key is as good for trying
// tokens as anything that is encrypted by one: a token is to be drawn, not chosen.
func keyOf(token, use string) ed25519.PrivateKey {
	seed, err := hkdf.Key(sha256.New, []byte(token), nil, "millrace "+use, ed25519.SeedSize)
	if err != nil { // no such length
		panic("BUG: natsbus: " + err.Error())
	}
	return ed25519.NewKeyFromSeed(seed)
}

// ServerByToken is for [ServerConfig], so that what goes to and from the server is encrypted.
func ServerByToken(token string) (*tls.Config, error) {
	key := keyOf(token, "server")
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().AddDate(100, 0, 0)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}}, nil
}

// ClientByToken is for [Config]: servers by that token are trusted, whatever they are called,
// and others as by or, nil being what the system trusts.
func ClientByToken(token string, or *tls.Config) *tls.Config {
	or = cmp.Or(or, &tls.Config{MinVersion: tls.VersionTLS12})
	public, c := keyOf(token, "server").Public().(ed25519.PublicKey), or.Clone()
	c.InsecureSkipVerify = true // verified here
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if s.PeerCertificates[0].PublicKeyAlgorithm == x509.Ed25519 && public.Equal(s.PeerCertificates[0].PublicKey) {
			return nil
		}
		options := x509.VerifyOptions{Roots: or.RootCAs, DNSName: s.ServerName, Intermediates: x509.NewCertPool()}
		for _, cert := range s.PeerCertificates[1:] {
			options.Intermediates.AddCert(cert)
		}
		if _, err := s.PeerCertificates[0].Verify(options); err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: fmt.Errorf("%w, and %w", errOtherToken, err)}
		}
		return nil
	}
	return c
}

// never is when a certificate ends that has no end (RFC 5280, 4.1.2.5).
var never = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// RoutesByToken is for both ends of the routes between servers of a job: each shows the one
// certificate of the job, which is made of the token, and takes no other. It is the same in
// all processes, byte for byte, whenever they make it: one that differs by its dates alone is
// signed by nobody.
func RoutesByToken(job, token string) (*tls.Config, error) {
	const name = "millrace"
	key := keyOf(token, "routes "+job)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: never, Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		IsCA: true, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	own := x509.NewCertPool()
	own.AddCert(cert)
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		RootCAs: own, ServerName: name, ClientCAs: own, ClientAuth: tls.RequireAndVerifyClientCert,
	}, nil
}

var errOtherToken = errors.New("it is by no token of this job")
