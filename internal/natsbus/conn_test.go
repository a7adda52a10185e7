package natsbus_test

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/natsbus"
	"github.com/millrace/millrace/internal/natsbus/natstest"
)

// Goal: each way to show who one is, and to be refused; no sentence tells a secret.
func TestConnect_credentials(t *testing.T) {
	open := start(t, natsbus.ServerConfig{})
	user := start(t, natsbus.ServerConfig{User: "ann", Password: "s3cret"})
	token := start(t, natsbus.ServerConfig{Token: "s3cret"})
	encrypts, trusts := certificates(t)
	secure := start(t, natsbus.ServerConfig{TLS: encrypts, User: "ann", Password: "s3cret"})
	encrypts, err := natsbus.ServerByToken("s3cret")
	require.NoError(t, err)
	byToken := start(t, natsbus.ServerConfig{TLS: encrypts})
	seed := filepath.Join(t.TempDir(), "nkey")
	pair, err := nkeys.CreateUser()
	require.NoError(t, err)
	text, err := pair.Seed()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(seed, text, 0o600))
	nobody := "nats://" + freePort(t)

	withPassword := func(url, password string) string {
		return strings.Replace(url, "//", "//ann:"+password+"@", 1)
	}
	for _, tc := range []struct {
		name string
		cfg  natsbus.Config
		want string // of the error; "": none
	}{
		{"anybody", natsbus.Config{URLs: []string{open.URL()}}, ""},
		{"the first of two doesn't answer", natsbus.Config{URLs: []string{nobody, open.URL()}}, ""},
		{"in this process", natsbus.Config{Server: user, User: "ann", Password: "s3cret"}, ""},
		{"in this process, with TLS for others", natsbus.Config{Server: secure, User: "ann", Password: "s3cret"}, ""},
		{"user", natsbus.Config{URLs: []string{user.URL()}, User: "ann", Password: "s3cret"}, ""},
		{"user in the URL", natsbus.Config{URLs: []string{withPassword(user.URL(), "s3cret")}}, ""},
		{"token", natsbus.Config{URLs: []string{token.URL()}, Token: "s3cret"}, ""},
		{"TLS", natsbus.Config{URLs: []string{secure.URL()}, User: "ann", Password: "s3cret", TLS: trusts}, ""},
		{"TLS by a token", natsbus.Config{URLs: []string{byToken.URL()}, TLSIfAsked: natsbus.ClientByToken("s3cret", nil)}, ""},
		{"TLS by a token that the URL does not want", natsbus.Config{URLs: []string{strings.Replace(byToken.URL(), "tls:", "nats:", 1)}, TLSIfAsked: natsbus.ClientByToken("s3cret", nil)}, ""},
		{"TLS by a token or a signature", natsbus.Config{URLs: []string{secure.URL()}, User: "ann", Password: "s3cret", TLS: natsbus.ClientByToken("0ther", trusts)}, ""},
		{"no TLS, and a token", natsbus.Config{URLs: []string{open.URL()}, TLSIfAsked: natsbus.ClientByToken("s3cret", nil)}, ""},

		{"nobody there", natsbus.Config{URLs: []string{nobody}}, "no NATS server answers at " + nobody + ": is it running?"},
		{"wrong password", natsbus.Config{URLs: []string{user.URL()}, User: "ann", Password: "0ther"}, "the NATS server at " + user.URL() + ` refuses user "ann" or its password`},
		{"wrong password in the URL", natsbus.Config{URLs: []string{withPassword(user.URL(), "0ther")}}, "the NATS server at " + user.URL() + " refuses who gives no credentials, or those in the URL"},
		{"wrong token", natsbus.Config{URLs: []string{token.URL()}, Token: "0ther"}, "the NATS server at " + token.URL() + " refuses the token"},
		{"a key that nobody knows", natsbus.Config{URLs: []string{user.URL()}, NKeyFile: seed}, "the NATS server at " + user.URL() + " refuses the nkey in " + seed},
		{"no credentials file", natsbus.Config{URLs: []string{user.URL()}, CredsFile: seed + ".creds"}, "credentials for NATS: stat " + seed + ".creds"},
		{"no key file", natsbus.Config{URLs: []string{user.URL()}, NKeyFile: seed + ".none"}, "nkey for NATS in " + seed + ".none: "},
		{"TLS that the server hasn't", natsbus.Config{URLs: []string{open.URL()}, TLS: trusts}, "has no TLS, and TLS was asked for"},
		{"TLS that isn't trusted", natsbus.Config{URLs: []string{secure.URL()}, TLS: &tls.Config{RootCAs: x509.NewCertPool()}}, "the certificate of the NATS server at " + secure.URL() + " is not trusted"},
		{"TLS by another token", natsbus.Config{URLs: []string{byToken.URL()}, TLSIfAsked: natsbus.ClientByToken("0ther", nil)}, "the certificate of the NATS server at " + byToken.URL() + " is not trusted"},
		{"TLS by a token that isn't known", natsbus.Config{URLs: []string{byToken.URL()}}, "the certificate of the NATS server at " + byToken.URL() + " is not trusted"},
		{"TLS by a signature, and another one is trusted", natsbus.Config{URLs: []string{secure.URL()}, TLS: natsbus.ClientByToken("s3cret", &tls.Config{RootCAs: x509.NewCertPool()})}, "is not trusted"},
		{"no TLS, and a URL that wants it", natsbus.Config{URLs: []string{strings.Replace(open.URL(), "nats:", "tls:", 1)}, TLSIfAsked: natsbus.ClientByToken("s3cret", nil)}, "has no TLS, and TLS was asked for"},
		{"two ways", natsbus.Config{URLs: []string{user.URL()}, Token: "s3cret", User: "ann"}, "only one of them"},
		{"nowhere", natsbus.Config{}, "either URLs or a server in this process"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.cfg.Job = "test"
			b, err := natsbus.Connect(tc.cfg)
			if tc.want == "" {
				require.NoError(t, err)
				b.Close()
				return
			}
			require.ErrorContains(t, err, tc.want)
			assert.NotContains(t, err.Error(), "s3cret")
			assert.NotContains(t, err.Error(), "0ther")
		})
	}
	_, err = natsbus.Connect(natsbus.Config{URLs: []string{open.URL()}})
	require.ErrorContains(t, err, "the job has no name")
}

// Goal: an nkey and a credentials file are shown as NATS wants them, to servers that know
// nothing else.
func TestConnect_keys(t *testing.T) {
	dir := t.TempDir()
	user, err := nkeys.CreateUser()
	require.NoError(t, err)
	public, err := user.PublicKey()
	require.NoError(t, err)
	seed, err := user.Seed()
	require.NoError(t, err)

	t.Run("nkey", func(t *testing.T) {
		file := filepath.Join(dir, "user.nk")
		require.NoError(t, os.WriteFile(file, seed, 0o600))
		url := raw(t, &server.Options{Nkeys: []*server.NkeyUser{{Nkey: public}}})
		connect(t, natsbus.Config{URLs: []string{url}, NKeyFile: file})
		_, err := natsbus.Connect(natsbus.Config{Job: "test", URLs: []string{url}})
		require.ErrorContains(t, err, "refuses who gives no credentials")
	})
	t.Run("credentials", func(t *testing.T) {
		operator, err := nkeys.CreateOperator()
		require.NoError(t, err)
		trusted, err := operator.PublicKey()
		require.NoError(t, err)
		account, err := nkeys.CreateAccount()
		require.NoError(t, err)
		of, err := account.PublicKey()
		require.NoError(t, err)
		accountJWT, err := jwt.NewAccountClaims(of).Encode(operator)
		require.NoError(t, err)
		userJWT, err := jwt.NewUserClaims(public).Encode(account)
		require.NoError(t, err)
		creds, err := jwt.FormatUserConfig(userJWT, seed)
		require.NoError(t, err)
		file := filepath.Join(dir, "user.creds")
		require.NoError(t, os.WriteFile(file, creds, 0o600))

		accounts := &server.MemAccResolver{}
		require.NoError(t, accounts.Store(of, accountJWT))
		url := raw(t, &server.Options{TrustedKeys: []string{trusted}, AccountResolver: accounts})
		connect(t, natsbus.Config{URLs: []string{url}, CredsFile: file})
		_, err = natsbus.Connect(natsbus.Config{Job: "test", URLs: []string{url}, User: "ann", Password: "s3cret"})
		require.ErrorContains(t, err, `refuses user "ann" or its password`)
	})
}

// raw is a server as somebody else might run it.
func raw(t *testing.T, o *server.Options) (url string) {
	t.Helper()
	o.Host, o.Port, o.NoLog, o.NoSigs = "127.0.0.1", server.RANDOM_PORT, true, true
	s, err := server.NewServer(o)
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(10*time.Second))
	return s.ClientURL()
}

// Goal: a connection that is cut comes back, with its subscriptions; what was sent
// meanwhile is lost and counted, and the log says so without a secret.
func TestBus_reconnects(t *testing.T) {
	s := start(t, natsbus.ServerConfig{User: "ann", Password: "s3cret"})
	proxy := natstest.NewProxy(t, host(t, s.URL()))
	var log lines
	b := connect(t, natsbus.Config{
		URLs: []string{"nats://ann:s3cret@" + proxy.Addr()}, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	plane := b.Plane()
	var got box
	_, err := plane.Listen(1, got.put)
	require.NoError(t, err)
	require.NoError(t, plane.Send(1, []byte("before")))
	await(t, "the first frame", func() bool { return got.has("before") })

	proxy.Refuse(true)
	await(t, "both connections are lost", func() bool { return b.Stats().Disconnects == 2 })
	require.NoError(t, plane.Send(1, []byte("meanwhile")))
	require.Positive(t, plane.Stats().Lost)

	proxy.Refuse(false)
	await(t, "a frame after the cut", func() bool {
		require.NoError(t, plane.Send(1, []byte("after")))
		return got.has("after")
	})
	assert.False(t, got.has("meanwhile"))
	await(t, "the log", func() bool { return strings.Contains(log.String(), "connected to NATS again") })
	assert.Contains(t, log.String(), "the connection to NATS is lost and tried again")
	assert.NotContains(t, log.String(), "s3cret")
}

// Goal: a server that is down at the start is waited for, if that is asked.
func TestConnect_later(t *testing.T) {
	proxy := natstest.NewProxy(t, freePort(t))
	b := connect(t, natsbus.Config{URLs: []string{"nats://" + proxy.Addr()}, Later: true})
	control := b.Control()
	var got box
	_, err := control.Listen(1, got.put)
	require.NoError(t, err)
	require.NoError(t, control.Tell(1, []byte("nobody is there")))

	s := start(t, natsbus.ServerConfig{})
	proxy.Target(host(t, s.URL()))
	await(t, "a message", func() bool {
		require.NoError(t, control.Tell(1, []byte("now")))
		return got.has("now")
	})
}

// box is what was heard.
type box struct {
	mu   sync.Mutex
	msgs map[string]int
	n    int
}

func (b *box) put(msg []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.msgs == nil {
		b.msgs = map[string]int{}
	}
	b.msgs[string(msg)]++
	b.n++
}

func (b *box) has(msg string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.msgs[msg] > 0
}

func (b *box) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n
}

// lines is a log that may be read while it is written.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Goal: a connection knows whether it is encrypted, and from where it reaches its server.
func TestBus_connection(t *testing.T) {
	encrypts, trusts := certificates(t)
	plain, secure := start(t, natsbus.ServerConfig{}), start(t, natsbus.ServerConfig{TLS: encrypts})
	for _, tc := range []struct {
		name      string
		cfg       natsbus.Config
		from      string
		encrypted bool
	}{
		{"plain", natsbus.Config{URLs: []string{plain.URL()}}, "127.0.0.1", false},
		{"TLS", natsbus.Config{URLs: []string{secure.URL()}, TLS: trusts}, "127.0.0.1", true},
		{"in this process", natsbus.Config{Server: plain}, "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := connect(t, tc.cfg)
			assert.Equal(t, tc.from, b.LocalHost())
			assert.Equal(t, tc.encrypted, b.Encrypted())
		})
	}
}
