// Package registrytest is a schema registry in the process, for tests.
//
//	reg := registrytest.New(t)
//	reg.Register("orders-value", registrytest.Avro, `{"type": "record", ...}`)
//	orders := kafka.Read(p, url, avro.Format[Order](reg.URL()))
//
// It is github.com/twmb/franz-go/pkg/sr/srfake, with a check of compatibility for Avro,
// and users and passwords.
package registrytest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// Type is a type of schemas.
type Type = sr.SchemaType

// The types.
const (
	Avro     = sr.TypeAvro
	Protobuf = sr.TypeProtobuf
	JSON     = sr.TypeJSON
)

// Reference is another schema in the registry, and the name that a schema has for it.
type Reference = sr.SchemaReference

// Registry is a registry that ends with its test.
type Registry struct {
	t        testing.TB
	fake     *srfake.Registry
	login    *url.Userinfo // nil: none is needed
	requests atomic.Int64
	down     atomic.Bool
	mu       sync.Mutex // guards levels
	levels   map[string]sr.CompatibilityLevel
}

// New starts a registry on a loopback port. Schemas have to be backward compatible, as
// a registry's default is, unless SetCompatibility says otherwise.
func New(t testing.TB) *Registry { return start(t, nil) }

// NewWithLogin starts one that wants a user and a password.
func NewWithLogin(t testing.TB, user, password string) *Registry {
	return start(t, url.UserPassword(user, password))
}

func start(t testing.TB, login *url.Userinfo) *Registry {
	r := &Registry{t: t, login: login, levels: map[string]sr.CompatibilityLevel{}}
	var opts []srfake.Option
	if login != nil {
		password, _ := login.Password()
		opts = append(opts, srfake.WithAuth("Basic "+base64.StdEncoding.EncodeToString([]byte(login.Username()+":"+password))))
	}
	r.fake = srfake.New(opts...)
	r.fake.Intercept(r.intercept)
	t.Cleanup(r.fake.Close)
	return r
}

// URL is the registry's URL, with the user and the password, if it wants them.
func (r *Registry) URL() string {
	u, err := url.Parse(r.fake.URL())
	if err != nil {
		r.t.Fatal(err)
	}
	u.User = r.login
	return u.String()
}

// Register registers a schema, and gives its id. It fails the test if the registry does
// not take it.
func (r *Registry) Register(subject string, kind Type, schema string, refs ...Reference) int {
	r.t.Helper()
	s := sr.Schema{Schema: schema, Type: kind, References: refs}
	if why := r.incompatible(subject, s); why != "" {
		r.t.Fatalf("register a schema in %s: %s", subject, why)
	}
	id, _, err := r.fake.RegisterSchema(subject, s)
	if err != nil {
		r.t.Fatalf("register a schema in %s: %v", subject, err)
	}
	return id
}

// SetCompatibility says which schemas a subject takes: NONE, BACKWARD, FORWARD, FULL,
// or one of the last three with _TRANSITIVE.
func (r *Registry) SetCompatibility(subject, level string) {
	r.t.Helper()
	var l sr.CompatibilityLevel
	if err := l.UnmarshalText([]byte(level)); err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.levels[subject] = l
}

func (r *Registry) level(subject string) sr.CompatibilityLevel {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l, ok := r.levels[subject]; ok {
		return l
	}
	return sr.CompatBackward
}

// Schemas is how many versions the subject has.
func (r *Registry) Schemas(subject string) int {
	n := 0
	for {
		if _, ok := r.fake.GetSchema(subject, n+1); !ok {
			return n
		}
		n++
	}
}

// Requests is how many requests there were.
func (r *Registry) Requests() int { return int(r.requests.Load()) }

// Down makes all requests fail, as they do when a registry is restarted.
func (r *Registry) Down(yes bool) { r.down.Store(yes) }

// intercept sees each request before the fake does.
func (r *Registry) intercept(w http.ResponseWriter, req *http.Request) bool {
	r.requests.Add(1)
	if r.down.Load() {
		answer(w, http.StatusServiceUnavailable, sr.ErrUnknownLeader.Code, "the registry is down")
		return true
	}
	subject, ok := strings.CutPrefix(req.URL.Path, "/subjects/")
	subject, post := strings.CutSuffix(subject, "/versions")
	if !ok || !post || req.Method != http.MethodPost {
		return false
	}
	body, err := io.ReadAll(req.Body)
	req.Body = io.NopCloser(bytes.NewReader(body))
	var s sr.Schema
	if err != nil || json.Unmarshal(body, &s) != nil {
		return false // the fake says so
	}
	if why := r.incompatible(subject, s); why != "" {
		answer(w, http.StatusConflict, http.StatusConflict, why)
		return true
	}
	return false
}

func answer(w http.ResponseWriter, status, code int, message string) {
	w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error_code": code, "message": message})
}

// incompatible says why a subject does not take a schema, for Avro.
func (r *Registry) incompatible(subject string, s sr.Schema) string {
	n := r.Schemas(subject)
	if s.Type != Avro || n == 0 {
		return ""
	}
	level := r.level(subject)
	from := n
	if strings.HasSuffix(level.String(), "_TRANSITIVE") {
		from = 1
	}
	next, err := r.parse(s)
	if err != nil {
		return "" // the fake says so
	}
	for v := from; v <= n; v++ {
		old, _ := r.fake.GetSchema(subject, v)
		before, err := r.parse(old.Schema)
		if err == nil {
			err = compatible(before, next, level)
		}
		if err != nil {
			return fmt.Sprintf("schema is not compatible with version %d of %s (%s): %v", v, subject, level, err)
		}
	}
	return ""
}

func compatible(before, next *avro.Schema, level sr.CompatibilityLevel) error {
	backward := func() error { return avro.CheckCompatibility(before, next) }
	forward := func() error { return avro.CheckCompatibility(next, before) }
	switch level {
	case sr.CompatNone:
		return nil
	case sr.CompatForward, sr.CompatForwardTransitive:
		return forward()
	case sr.CompatFull, sr.CompatFullTransitive:
		return errors.Join(backward(), forward())
	}
	return backward()
}

// parse parses a schema with those that it refers to.
func (r *Registry) parse(s sr.Schema) (*avro.Schema, error) {
	var names avro.SchemaCache
	var add func(refs []sr.SchemaReference) error
	add = func(refs []sr.SchemaReference) error {
		for _, ref := range refs {
			got, ok := r.fake.GetSchema(ref.Subject, ref.Version)
			if !ok {
				return fmt.Errorf("there is no version %d of %s", ref.Version, ref.Subject)
			}
			if err := add(got.References); err != nil {
				return err
			}
			if _, err := names.Parse(got.Schema.Schema); err != nil {
				return err
			}
		}
		return nil
	}
	if err := add(s.References); err != nil {
		return nil, err
	}
	return names.Parse(s.Schema)
}
