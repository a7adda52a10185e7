package natsbus

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Config says where a NATS server is, and who we are to it. The zero value of each
// field means its default.
type Config struct {
	Job string // name of the job; has to be given

	URLs   []string // of servers of which any will do; default: Server
	Server *Server  // one in this process, reached without a socket

	User, Password string      // at most one way to show who we are: a user,
	Token          string      // a token,
	CredsFile      string      // a file with a JWT and its key,
	NKeyFile       string      // or a file with the seed of an nkey
	TLS            *tls.Config // default: none, unless the server asks for it
	TLSIfAsked     *tls.Config // then this one is taken; default: what the system trusts

	// Later returns a connection at once and connects in the background: for one server
	// of several that may be down.
	Later bool

	// Replicas is how many servers of a cluster keep a copy of what is created here:
	// 1 (the default), 3 or 5. Nothing that was acknowledged is lost as long as more than
	// half of them keep their disks.
	Replicas int

	Log *slog.Logger // default: nothing is logged
}

// Stats counts what went wrong on connections since they were made.
type Stats struct {
	Lost        uint64 // messages that were not sent: no connection, or no room
	Errors      uint64 // what servers and subscriptions have complained of
	Disconnects uint64
}

type counters struct {
	lost, errors, disconnects atomic.Uint64

	cut func() // called when a connection is lost; nil: nobody has to know
}

func (c *counters) stats() Stats {
	return Stats{Lost: c.lost.Load(), Errors: c.errors.Load(), Disconnects: c.disconnects.Load()}
}

// ErrDenied is what connecting fails with when the server does not want who we say we are.
var ErrDenied = errors.New("access denied")

// How long a dial may take, and how soon a lost connection is tried again.
const (
	dialMax    = 2 * time.Second
	redialMin  = 20 * time.Millisecond
	redialSoon = 160 * time.Millisecond // for the first redials: a job waits
	redials    = 40
	redialMax  = time.Second // later
)

func (c *Config) validate() error {
	if c.Job == "" {
		return errors.New("connect to NATS: the job has no name")
	}
	if (len(c.URLs) == 0) == (c.Server == nil) {
		return errors.New("connect to NATS: either URLs or a server in this process has to be given")
	}
	ways := 0
	for _, given := range []string{c.User, c.Token, c.CredsFile, c.NKeyFile} {
		if given != "" {
			ways++
		}
	}
	if ways > 1 {
		return errors.New("connect to NATS: give a user, a token, a credentials file or an nkey file, and only one of them")
	}
	return nil
}

// dial opens one connection. in is the server for one in this process.
func (c *Config) dial(role string, in nats.InProcessConnProvider, count *counters, more ...nats.Option) (*nats.Conn, error) {
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	log = log.With("job", c.Job, "connection", role)
	options := append([]nats.Option{
		nats.Name("millrace " + c.Job + " " + role),
		nats.Timeout(dialMax),
		nats.MaxReconnects(-1),
		nats.CustomReconnectDelay(redialDelay),
		nats.ReconnectBufSize(-1), // what can't be sent now is old when it can: the protocol sends it again
		nats.RetryOnFailedConnect(c.Later),
		nats.IgnoreAuthErrorAbort(),
		nats.PingInterval(5 * time.Second),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if count.cut != nil {
				count.cut()
			}
			if !nc.IsClosed() {
				count.disconnects.Add(1)
				log.Warn("the connection to NATS is lost and tried again", "err", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) { log.Info("connected to NATS again", "server", nc.ConnectedUrlRedacted()) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			count.errors.Add(1)
			log.Warn("NATS complains", "err", err)
		}),
	}, more...)
	switch {
	case c.User != "":
		options = append(options, nats.UserInfo(c.User, c.Password))
	case c.Token != "":
		options = append(options, nats.Token(c.Token))
	case c.CredsFile != "":
		if _, err := os.Stat(c.CredsFile); err != nil {
			return nil, fmt.Errorf("credentials for NATS: %w", err)
		}
		options = append(options, nats.UserCredentials(c.CredsFile))
	case c.NKeyFile != "":
		nkey, err := nats.NkeyOptionFromSeed(c.NKeyFile)
		if err != nil {
			return nil, fmt.Errorf("nkey for NATS in %s: %w", c.NKeyFile, err)
		}
		options = append(options, nkey)
	}
	switch {
	case c.TLS != nil:
		options = append(options, nats.Secure(c.TLS))
	case c.TLSIfAsked != nil:
		options = append(options, func(o *nats.Options) error { o.TLSConfig = c.TLSIfAsked; return nil })
	}
	if in != nil {
		options = append(options, nats.InProcessServer(in))
	}
	nc, err := nats.Connect(strings.Join(c.URLs, ","), options...)
	if err != nil {
		return nil, c.explain(err)
	}
	return nc, nil
}

// redialDelay grows with each round of attempts, and differs by chance, so that not all
// processes of a job come at once to a server that has just started. One that was started
// again is found soon, and one that is gone for long is not asked for all the time.
func redialDelay(attempts int) time.Duration {
	d := redialMax
	if attempts < redials {
		d = min(redialMin<<min(attempts, 10), redialSoon)
	}
	return d/2 + rand.N(d)
}

// explain makes a sentence of why a first connection failed, without a secret.
func (c *Config) explain(err error) error {
	at := c.where()
	switch tlsErr := (*tls.CertificateVerificationError)(nil); {
	case errors.Is(err, nats.ErrNoServers), errors.Is(err, nats.ErrTimeout), isDial(err):
		return fmt.Errorf("no NATS server answers at %s: is it running? (%w)", at, err)
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked), errors.Is(err, nats.ErrAccountAuthExpired), errors.Is(err, nats.ErrNkeysNotSupported):
		return fmt.Errorf("the NATS server at %s refuses %s (%w: %w)", at, c.who(), ErrDenied, err)
	case errors.Is(err, nats.ErrSecureConnWanted):
		return fmt.Errorf("the NATS server at %s has no TLS, and TLS was asked for (%w)", at, err)
	case errors.As(err, &tlsErr):
		return fmt.Errorf("the certificate of the NATS server at %s is not trusted (%w)", at, err)
	}
	return fmt.Errorf("connect to NATS at %s: %w", at, err)
}

func isDial(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// where names the servers without passwords.
func (c *Config) where() string {
	if c.Server != nil {
		return c.Server.URL()
	}
	var list []string
	for _, each := range c.URLs {
		for s := range strings.SplitSeq(each, ",") {
			u, err := url.Parse(strings.TrimSpace(s))
			if err != nil {
				u = &url.URL{Host: s[strings.LastIndex(s, "@")+1:]}
			}
			u.User = nil
			list = append(list, u.String())
		}
	}
	return strings.Join(list, ", ")
}

// who names what we have shown to the server, without secrets.
func (c *Config) who() string {
	switch {
	case c.User != "":
		return fmt.Sprintf("user %q or its password", c.User)
	case c.Token != "":
		return "the token"
	case c.CredsFile != "":
		return "the credentials in " + c.CredsFile
	case c.NKeyFile != "":
		return "the nkey in " + c.NKeyFile
	}
	return "who gives no credentials, or those in the URL"
}

// token makes one part of a subject, or of a stream's or a bucket's name, of any string:
// bytes other than letters, digits and - become _ and two hexadecimal digits.
func token(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "_%02X", c)
		}
	}
	return b.String()
}
