package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"syscall"

	kafka "github.com/segmentio/kafka-go"
)

// hint says what to check when a broker can't be spoken with.
func (b *broker) hint(err error) string {
	if h := hintOf(err); h != "" {
		return h
	}
	if !closedByPeer(err) || b.served.Load() {
		return ""
	}
	hasTLS, hasSASL := b.client.cfg.TLS != nil, b.client.cfg.SASL != nil
	switch {
	case b.heard.Load() && !hasSASL:
		return "the broker closed the connection although it is a Kafka broker: does it want a user and password (SASL)?"
	case b.heard.Load():
		return "the broker closed the connection while this client logged in: are user, password and the way to log in right?"
	case hasTLS:
		return "the broker closed the connection in the handshake: is this the port for TLS, and does it want a client certificate?"
	default:
		return "the broker closed the connection at once: is this a port for TLS (kafkas://), or one for SASL?"
	}
}

// silent says what to check when time ran out and no broker ever answered there.
func (b *broker) silent() string {
	switch {
	case b.heard.Load():
		return ""
	case b.client.cfg.TLS != nil:
		return "no Kafka broker answered: check host, port and firewall, and whether this is a port for TLS"
	}
	return "no Kafka broker answered: check host, port and firewall, and whether this is a port for TLS (kafkas://)"
}

// hintOf says what to check for an error that speaks for itself; "" if it does not.
func hintOf(err error) string {
	if s, ok := errors.AsType[*strangerError](err); ok {
		if strings.Contains(s.Error(), "TLS") {
			return "use TLS (kafkas://), or the broker's plaintext port"
		}
		return "check the port"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the port is not one for TLS: use kafka:// without TLS, or the broker's TLS port"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "give the certificate of the authority that signed the broker's"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the broker's certificate is for another host: use the name that is in it, or set the server name"
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
		return "the name can't be resolved: if it is one that the broker advertises, check its advertised.listeners"
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return "nothing answers: check host, port and firewall, and the broker's advertised.listeners"
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: check host and port, that the broker runs, and its advertised.listeners"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no way to that host from here: check the network, and the broker's advertised.listeners"
	}
	return ""
}

// lasting says that trying again does not help: the settings are wrong.
func lasting(err error) bool {
	if _, ok := errors.AsType[*strangerError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	_, ok := errors.AsType[*tokenError](err)
	return ok
}

// authCause is what is said beside the code of an authentication that was refused.
func authCause(err error, code kafka.Error) error {
	if s := strings.TrimPrefix(err.Error(), code.Error()); s != "" && s != err.Error() {
		if s = strings.TrimLeft(s, ": "); s != "" {
			return errors.New(s)
		}
	}
	return nil
}
