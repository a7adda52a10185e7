package client

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// A mechanism is a way to log in. It prints its name only: the secrets lie behind a
// pointer inside a pointer, where no verb goes, and are shown by no method.
type mechanism struct{ sasl.Mechanism }

// String names the mechanism.
func (m *mechanism) String() string { return "SASL " + m.Name() }

// GoString is String.
func (m *mechanism) GoString() string { return m.String() }

// Format is String for every verb.
func (m *mechanism) Format(f fmt.State, _ rune) { fmt.Fprint(f, m.String()) }

// Plain logs in by SASL PLAIN. Without TLS the password can be read on the way.
func Plain(user, password string) sasl.Mechanism {
	return &mechanism{&plain.Mechanism{Username: user, Password: password}}
}

// Scram256 logs in by SCRAM-SHA-256. A password that SCRAM does not allow (control
// characters, for one) is an error, which doesn't show it.
func Scram256(user, password string) (sasl.Mechanism, error) {
	return scrambled(scram.SHA256, user, password)
}

// Scram512 logs in by SCRAM-SHA-512. See Scram256.
func Scram512(user, password string) (sasl.Mechanism, error) {
	return scrambled(scram.SHA512, user, password)
}

func scrambled(a scram.Algorithm, user, password string) (sasl.Mechanism, error) {
	m, err := scram.Mechanism(a, user, password)
	if err != nil {
		return nil, errors.New("kafka: the user or password has characters that " + a.Name() + " does not allow")
	}
	return &mechanism{m}, nil
}

// OAuth logs in by SASL OAUTHBEARER (RFC 7628): token is called for each connection
// that is made, by several goroutines at once, and should keep a token while it is
// valid.
func OAuth(token func(context.Context) (string, error)) sasl.Mechanism {
	return &mechanism{oauth{token}}
}

type oauth struct {
	token func(context.Context) (string, error)
}

func (oauth) Name() string { return "OAUTHBEARER" }

func (o oauth) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	t, err := o.token(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("get a token: %w", err)
	}
	if t == "" || strings.ContainsFunc(t, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, nil, &tokenError{}
	}
	return bearer{}, []byte("n,,\x01auth=Bearer " + t + "\x01\x01"), nil
}

// tokenError: what the token function gave is none.
type tokenError struct{}

func (*tokenError) Error() string { return "the token is empty or has characters that none has" }

// bearer is the rest of an exchange: nothing, or the broker says in JSON what is
// wrong, and wants an empty answer before it refuses.
type bearer struct{}

func (bearer) Next(_ context.Context, challenge []byte) (bool, []byte, error) {
	if len(challenge) == 0 {
		return true, nil, nil
	}
	return false, []byte{1}, nil
}
