package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// connectParams are the parameters of a URL that say how to connect.
var connectParams = []string{"sasl", "ca", "cert", "key", "server", "client", "timeout"}

// Option is an option of reading and of writing: its name, and how to connect.
type Option func(*connection)

// connection is what options say about connecting, and about the name.
type connection struct {
	name  string
	tls   *tls.Config
	token func(context.Context) (string, error)
}

// Named gives the source or sink its name, as pipeline.Named does: it ties the offsets
// that a job keeps to the code, and is what the flags -source and -sink go by.
func Named(name string) Option { return func(c *connection) { c.name = name } }

// TLS makes the connections use cfg, which is not changed afterwards: for what the
// URL's parameters ca, cert, key and server can't say. The URL may then be kafka:// or
// kafkas://.
func TLS(cfg *tls.Config) Option { return func(c *connection) { c.tls = cfg } }

// OAuth logs in by SASL OAUTHBEARER: token is asked for a token whenever a connection is
// made.
func OAuth(token func(ctx context.Context) (string, error)) Option {
	return func(c *connection) { c.token = token }
}

// The ways to log in, as the parameter sasl has them.
const (
	saslPlain  = "plain"
	saslSHA256 = "scram-sha-256"
	saslSHA512 = "scram-sha-512"
	saslOAuth  = "oauthbearer"
)

// login is how to log in: "" is not at all.
func (a *address) login(c connection) (string, error) {
	how, given := a.param("sasl")
	if given && !slices.Contains([]string{saslPlain, saslSHA256, saslSHA512, saslOAuth}, how) {
		return "", fmt.Errorf("sasl=%s: there are %s, %s, %s and %s", how, saslPlain, saslSHA256, saslSHA512, saslOAuth)
	}
	switch {
	case c.token != nil && (given && how != saslOAuth || a.User != ""):
		return "", fmt.Errorf("kafka.OAuth is given, and the URL has another way to log in")
	case c.token != nil:
		return saslOAuth, nil
	case how == saslOAuth && a.password == "":
		return "", fmt.Errorf("sasl=oauthbearer: want a token as the URL's password, or kafka.OAuth")
	case given && how != saslOAuth && a.User == "":
		return "", fmt.Errorf("sasl=%s: the URL has no user: want kafka://user:password@host:9092/topic", how)
	case !given && a.User != "":
		return saslPlain, nil
	}
	return how, nil
}

// tlsConfig is the TLS to use, nil for none. Files are read here.
func (a *address) tlsConfig(c connection) (*tls.Config, error) {
	if c.tls != nil {
		for _, name := range []string{"ca", "cert", "key", "server"} {
			if _, ok := a.param(name); ok {
				return nil, fmt.Errorf("kafka.TLS is given, and the URL has the parameter %q", name)
			}
		}
		return c.tls.Clone(), nil
	}
	ca, hasCA := a.param("ca")
	cert, hasCert := a.param("cert")
	key, hasKey := a.param("key")
	server, hasServer := a.param("server")
	switch {
	case !a.TLS && (hasCA || hasCert || hasKey || hasServer):
		return nil, fmt.Errorf("ca, cert, key and server are for TLS: want a URL as kafkas://host:9092/topic")
	case !a.TLS:
		return nil, nil
	case hasCert != hasKey:
		return nil, fmt.Errorf("want both cert and key, or neither")
	}
	cfg := &tls.Config{ServerName: server, MinVersion: tls.VersionTLS12}
	if hasCA {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("read the certificates of ca: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate in PEM", ca)
		}
	}
	if hasCert {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("read cert and key: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// timeout is the parameter timeout, 0 if there is none.
func (a *address) timeout() (time.Duration, error) {
	text, ok := a.param("timeout")
	if !ok {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("timeout=%s: want a time as 10s", text)
	}
	return d, nil
}

// clientID is what brokers are told about who asks.
func (a *address) clientID() string {
	if id, ok := a.param("client"); ok {
		return id
	}
	return "millrace"
}

// topics are the topics that the URL names, by commas.
func (a *address) topics() (names []string, err error) {
	for name := range strings.SplitSeq(a.Topic, ",") {
		if err := checkTopic(name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}
