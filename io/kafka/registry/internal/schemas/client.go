// Package schemas is a schema registry as formats use it: its wire format, schemas by
// their ids, ids of schemas, remembered, and outages told from answers.
package schemas

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/millrace/millrace/io/kafka"
)

// Config is what the options of package registry say.
type Config struct {
	User, Password, Token string
	TLS                   *tls.Config
	Timeout               time.Duration
	Schema                string // "" is none
	Register, Latest, Key bool
	Subject               func(topic, record string, key bool) string
}

const defaultTimeout = 15 * time.Second

// ByTopic is the default of Config.Subject.
func ByTopic(topic, _ string, key bool) string {
	switch {
	case topic == "":
		return ""
	case key:
		return topic + "-key"
	}
	return topic + "-value"
}

// Schema is a schema of the registry.
type Schema struct {
	ID   int
	Name string // that others refer to it by
	Type string // AVRO, PROTOBUF, JSON
	Text string
	Refs []Schema // all that it refers to, also indirectly, before those that do
}

// Client asks a registry. Its errors are a [kafka.Outage], or the registry's answer.
type Client struct {
	Config
	address string // without secrets
	sr      *sr.Client
}

// New makes a client, without asking anything yet.
func New[Option ~func(*Config)](address string, opts []Option) (*Client, error) {
	cfg := Config{Timeout: defaultTimeout, Subject: ByTopic}
	for _, o := range opts {
		if o == nil {
			return nil, errors.New("an option is nil")
		}
		o(&cfg)
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("want the schema registry's URL as http://host:8081 or https://user:password@host")
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("the schema registry's URL has parameters: there are none")
	}
	if u.User != nil {
		if cfg.User != "" {
			return nil, errors.New("registry.BasicAuth is given, and the URL has a user, too")
		}
		cfg.User = u.User.Username()
		cfg.Password, _ = u.User.Password()
		u.User = nil
	}
	switch {
	case cfg.User != "" && cfg.Token != "":
		return nil, errors.New("registry.Token is given, and a user, too")
	case cfg.Timeout <= 0:
		return nil, fmt.Errorf("registry.Timeout is %v", cfg.Timeout)
	case cfg.Subject == nil:
		return nil, errors.New("registry.Subject is given nil")
	case cfg.Register && cfg.Latest:
		return nil, errors.New("registry.Register is given, and Latest, too")
	case cfg.Latest && cfg.Schema != "":
		return nil, errors.New("registry.Schema is given, and Latest, too")
	case cfg.TLS != nil && u.Scheme != "https":
		return nil, errors.New("registry.TLS is given: want a URL as https://host")
	}
	to := []sr.ClientOpt{
		sr.URLs(u.String()), sr.UserAgent("millrace"),
		sr.HTTPClient(&http.Client{Timeout: min(cfg.Timeout, 5*time.Second)}),
	}
	if cfg.User != "" {
		to = append(to, sr.BasicAuth(cfg.User, cfg.Password))
	}
	if cfg.Token != "" {
		to = append(to, sr.BearerToken(cfg.Token))
	}
	if cfg.TLS != nil {
		to = append(to, sr.DialTLSConfig(cfg.TLS.Clone()))
	}
	client, err := sr.NewClient(to...)
	return &Client{Config: cfg, address: u.String(), sr: client}, err
}

// ByID is the schema of an id, which has to be of the type.
func (c *Client) ByID(id int, kind string) (Schema, error) {
	var got sr.Schema
	err := c.ask(func(ctx context.Context) (err error) {
		got, err = c.sr.SchemaByID(ctx, id)
		return err
	})
	if err != nil {
		return Schema{}, fmt.Errorf("schema id %d: %w", id, err)
	}
	return c.whole(id, got, kind)
}

// latest is the newest schema of the subject.
func (c *Client) latest(subject, kind string) (Schema, error) {
	var got sr.SubjectSchema
	err := c.ask(func(ctx context.Context) (err error) {
		got, err = c.sr.SchemaByVersion(ctx, subject, -1)
		return err
	})
	if err != nil {
		return Schema{}, fmt.Errorf("latest schema of subject %s: %w", subject, err)
	}
	return c.whole(got.ID, got.Schema, kind)
}

// whole is the schema with those that it refers to.
func (c *Client) whole(id int, s sr.Schema, kind string) (Schema, error) {
	if s.Type.String() != kind {
		return Schema{}, fmt.Errorf("schema id %d is for %s, not for %s", id, s.Type, kind)
	}
	out := Schema{ID: id, Type: kind, Text: s.Schema}
	seen := map[string]bool{}
	var add func([]sr.SchemaReference) error
	add = func(refs []sr.SchemaReference) error {
		for _, ref := range refs {
			if seen[ref.Name] {
				continue
			}
			seen[ref.Name] = true
			var got sr.SubjectSchema
			err := c.ask(func(ctx context.Context) (err error) {
				got, err = c.sr.SchemaByVersion(ctx, ref.Subject, ref.Version)
				return err
			})
			if err == nil {
				err = add(got.References)
			}
			if err != nil {
				return fmt.Errorf("schema id %d refers to %s: %w", id, ref.Name, err)
			}
			out.Refs = append(out.Refs, Schema{ID: got.ID, Name: ref.Name, Type: got.Type.String(), Text: got.Schema.Schema})
		}
		return nil
	}
	return out, add(s.References)
}

// Own is a schema of a format's own, to write by.
type Own struct {
	Type, Text string
	Record     string // full name of the record or message, if it has one
	Refs       []Reference
}

// Reference is a schema in the registry that another one refers to.
type Reference = sr.SchemaReference

// ToWrite is the schema to write by to the topic: own, which the registry has to have or
// to get, or the latest one, as the options say.
func (c *Client) ToWrite(topic string, own Own) (Schema, error) {
	subject := c.Subject(topic, own.Record, c.Key)
	if subject == "" {
		return Schema{}, fmt.Errorf("the subject of records %q for topic %q has no name", own.Record, topic)
	}
	if c.Latest {
		return c.latest(subject, own.Type)
	}
	id, _, err := c.ID(subject, own)
	return Schema{ID: id, Type: own.Type, Text: own.Text}, err
}

// ID is the id and the version of a schema of the subject's, registered if the options
// say so.
func (c *Client) ID(subject string, own Own) (id, version int, err error) {
	s := sr.Schema{Schema: own.Text, References: own.Refs}
	if err := s.Type.UnmarshalText([]byte(own.Type)); err != nil {
		return 0, 0, err
	}
	var got sr.SubjectSchema
	err = c.ask(func(ctx context.Context) (err error) {
		if c.Register {
			if _, err := c.sr.RegisterSchema(ctx, subject, s, -1, -1); err != nil {
				return err
			}
		}
		got, err = c.sr.LookupSchema(ctx, subject, s)
		return err
	})
	switch {
	case err == nil:
		return got.ID, got.Version, nil
	case c.Register:
		return 0, 0, fmt.Errorf("register the schema in subject %s: %w", subject, err)
	}
	if e, ok := errors.AsType[*sr.ResponseError](err); ok && sr.IsNotFoundError(e.ErrorCode) {
		err = fmt.Errorf("%w (registry.Register registers it)", err)
	}
	return 0, 0, fmt.Errorf("look up the schema in subject %s: %w", subject, err)
}

// ask tries again while the registry does not answer.
func (c *Client) ask(f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), c.Timeout)
	defer cancel()
	var last error
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := f(ctx)
		if last == nil || ctx.Err() == nil { // else it is only that time is over
			last = err
		}
		if err == nil || !worthTrying(err) || ctx.Err() != nil {
			return c.explain(last)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return c.explain(last)
		}
	}
}

// worthTrying reports whether the same request may be answered another time.
func worthTrying(err error) bool {
	if e, ok := errors.AsType[*sr.ResponseError](err); ok {
		return e.StatusCode >= 500 || e.StatusCode == http.StatusTooManyRequests
	}
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	return !untrusted
}

// explain tells answers from outages.
func (c *Client) explain(err error) error {
	if err == nil {
		return nil
	}
	out := func(format string, args ...any) error { return &kafka.Outage{Err: fmt.Errorf(format, args...)} }
	e, answered := errors.AsType[*sr.ResponseError](err)
	if !answered {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // the address is said once
		}
		return out("the schema registry at %s does not answer: %w", c.address, err)
	}
	status := strings.ToLower(http.StatusText(e.StatusCode))
	switch {
	case e.StatusCode == http.StatusUnauthorized || e.StatusCode == http.StatusForbidden:
		return out("the schema registry at %s refuses us: %s: check user and password", c.address, status)
	case e.StatusCode == http.StatusNotFound && sr.IsNotFoundError(e.ErrorCode):
		return fmt.Errorf("the schema registry at %s does not know it: %w", c.address, e)
	case e.StatusCode == http.StatusConflict:
		return fmt.Errorf("the schema registry at %s says that it is not compatible: %w", c.address, e)
	case e.StatusCode == http.StatusUnprocessableEntity:
		return fmt.Errorf("the schema registry at %s does not accept it: %w", c.address, e)
	case e.StatusCode == http.StatusNotFound:
		return out("there is no schema registry at %s: %s", c.address, status)
	}
	return out("the schema registry at %s fails: %s: %w", c.address, status, e)
}
