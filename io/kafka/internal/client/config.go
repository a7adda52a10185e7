package client

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go/sasl"
)

// Config says how a cluster is reached. Zero fields mean the default. It prints
// without its secrets, in every format.
type Config struct {
	Brokers  []string       // host:port of some brokers, 9092 if the port is left out; the others are learned from them. At least one
	ClientID string         // what brokers log and count this client as; default "millrace"
	TLS      *tls.Config    // nil is plaintext; if its ServerName is empty, the broker's host is checked
	SASL     sasl.Mechanism // nil is no authentication

	DialTimeout    time.Duration // longest that a connection may take until it can be used; default 5 s
	RequestTimeout time.Duration // longest that a call may take with all its attempts; default 30 s
	MetadataEvery  time.Duration // leaders that are older are asked for again before they are used; default 5 min
}

// String names the brokers and how they are reached.
func (c Config) String() string {
	s := "kafka at " + strings.Join(c.Brokers, ",")
	if c.TLS != nil {
		s += " with TLS"
	}
	if c.SASL != nil {
		s += " with SASL " + c.SASL.Name()
	}
	return s
}

// GoString is String: a %#v shows no secret.
func (c Config) GoString() string { return c.String() }

// Format is String for every verb.
func (c Config) Format(f fmt.State, _ rune) { fmt.Fprint(f, c.String()) }

func (c Config) withDefaults() (Config, error) {
	if len(c.Brokers) == 0 {
		return c, errors.New("kafka: no brokers are given")
	}
	brokers := make([]string, len(c.Brokers))
	for i, b := range c.Brokers {
		a, err := address(b)
		if err != nil {
			return c, err
		}
		brokers[i] = a
	}
	c.Brokers = brokers
	if c.ClientID == "" {
		c.ClientID = "millrace"
	}
	if len(c.ClientID) > 1<<15-1 {
		return c, errors.New("kafka: the client id is longer than 32767 bytes")
	}
	if c.DialTimeout < 0 || c.RequestTimeout < 0 || c.MetadataEvery < 0 {
		return c, errors.New("kafka: a time-out is negative")
	}
	c.DialTimeout = orDefault(c.DialTimeout, 5*time.Second)
	c.RequestTimeout = orDefault(c.RequestTimeout, 30*time.Second)
	c.MetadataEvery = orDefault(c.MetadataEvery, 5*time.Minute)
	return c, nil
}

// address checks a broker's address and gives it the port of Kafka if it has none.
func address(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port, err = net.SplitHostPort(s + ":9092")
	}
	if err != nil || host == "" || strings.ContainsAny(host, "/@, ") {
		return "", fmt.Errorf("kafka: %q is not the address of a broker: host:port is wanted", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("kafka: broker %q has no port between 1 and 65535", s)
	}
	return net.JoinHostPort(host, port), nil
}

func orDefault(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}
