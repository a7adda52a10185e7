package client

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
)

// certificate makes a certificate for this machine that signs itself.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &key.PublicKey, key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func must(m sasl.Mechanism, err error) sasl.Mechanism {
	if err != nil {
		panic(err)
	}
	return m
}

func TestSecurity(t *testing.T) {
	cert, pool := certificate(t)
	users := []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("PLAIN", "anna", "pw"),
		kfake.Superuser("SCRAM-SHA-256", "anna", "pw"), kfake.Superuser("SCRAM-SHA-512", "otto", "pw")}
	withTLS := []kfake.Opt{kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}})}
	mutual := []kfake.Opt{kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool})}
	for _, tt := range []struct {
		name  string
		opts  []kfake.Opt
		tls   *tls.Config
		sasl  sasl.Mechanism
		wrong string // "" is: it works
	}{
		{name: "plain password", opts: users, sasl: Plain("anna", "pw")},
		{name: "scram 256", opts: users, sasl: must(Scram256("anna", "pw"))},
		{name: "scram 512", opts: users, sasl: must(Scram512("otto", "pw"))},
		{name: "another password", opts: users, sasl: Plain("anna", "secret"), wrong: "are user, password"},
		{name: "another password by scram", opts: users, sasl: must(Scram256("anna", "secret")), wrong: "are user, password"},
		{name: "a way to log in that the broker does not have", opts: users,
			sasl: OAuth(func(context.Context) (string, error) { return "secret", nil }), wrong: "see sasl.enabled.mechanisms"},
		{name: "no user where one is wanted", opts: users, wrong: "does it want a user and password"},
		{name: "tls", opts: withTLS, tls: &tls.Config{RootCAs: pool}},
		{name: "tls and a password", opts: append(withTLS[:1:1], users...), tls: &tls.Config{RootCAs: pool}, sasl: Plain("anna", "pw")},
		{name: "an authority that is not known", opts: withTLS, tls: &tls.Config{}, wrong: "give the certificate of the authority"},
		{name: "a certificate for another host", opts: withTLS, tls: &tls.Config{RootCAs: pool, ServerName: "elsewhere"}, wrong: "is for another host"},
		{name: "plaintext to a port for tls", opts: withTLS, wrong: "TLS"},
		{name: "tls to a plaintext port", tls: &tls.Config{RootCAs: pool}, wrong: "TLS"},
		{name: "mutual tls", opts: mutual, tls: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{cert}}},
		{name: "no certificate where one is wanted", opts: mutual, tls: &tls.Config{RootCAs: pool}, wrong: "certificate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := cluster(t, 1, tt.opts...)
			c := client(t, k, func(cfg *Config) { cfg.TLS, cfg.SASL, cfg.RequestTimeout = tt.tls, tt.sasl, 600*time.Millisecond })
			_, err := c.Topic(within(t), "t")
			if tt.wrong == "" {
				require.NoError(t, err)
				write(t, c, "t", 0, "a")
				return
			}
			require.ErrorContains(t, err, tt.wrong)
			assert.ErrorContains(t, err, k.ListenAddrs()[0])
			assert.NotContains(t, err.Error(), "secret")
		})
	}
}

// Goal: no way to print what holds a password shows it. Method: all verbs, on
// everything that holds one, also as a field that is not exported.
func TestSecretsAreNotPrinted(t *testing.T) {
	for _, m := range []sasl.Mechanism{
		Plain("anna", "hunter2"), must(Scram256("anna", "hunter2")), must(Scram512("anna", "hunter2")),
		OAuth(func(context.Context) (string, error) { return "hunter2", nil }),
	} {
		cfg := Config{Brokers: []string{"h"}, SASL: m}
		c, err := New(cfg)
		require.NoError(t, err)
		foreign, err := New(Config{Brokers: []string{"h"}, SASL: plain.Mechanism{Username: "anna", Password: "hunter2"}})
		require.NoError(t, err)
		type inside struct {
			cfg Config
			c   *Client
			m   sasl.Mechanism
		}
		for _, v := range []any{m, cfg, &cfg, c, foreign, inside{cfg, c, m}, &inside{cfg, c, m}} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				s := fmt.Sprintf(verb, v)
				assert.NotContains(t, s, "hunter2")
				assert.NotContains(t, s, "68756e74657232")
			}
		}
		assert.Equal(t, "kafka at h:9092 with SASL "+m.Name(), c.String())
	}
}

func TestOAuth(t *testing.T) {
	m := OAuth(func(context.Context) (string, error) { return "abc", nil })
	s, first, err := m.Start(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "n,,\x01auth=Bearer abc\x01\x01", string(first))
	done, _, err := s.Next(t.Context(), nil)
	require.NoError(t, err)
	assert.True(t, done)
	done, next, err := s.Next(t.Context(), []byte(`{"status":"invalid_token"}`))
	require.NoError(t, err)
	assert.False(t, done, "the broker refuses after one more message")
	assert.Equal(t, []byte{1}, next)
	for _, bad := range []string{"", "a\x01b", "a b"} {
		_, _, err = OAuth(func(context.Context) (string, error) { return bad, nil }).Start(t.Context())
		assert.Error(t, err)
	}
}
