package avro_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/kafka"
	"github.com/millrace/millrace/io/kafka/registry"
	"github.com/millrace/millrace/io/kafka/registry/avro"
)

// Goal: a registry's certificate is checked, by the authorities that are given.
func TestFormat_tls(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer token" || r.URL.Path != "/schemas/ids/7" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = w.Write([]byte(`{"schema": "\"string\""}`))
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	value := &kafka.Record{Value: []byte{0, 0, 0, 0, 7, 2, 'x'}}

	began := time.Now()
	_, err := avro.Format[string](s.URL, registry.Token("token")).Decode(value)
	require.ErrorContains(t, err, "certificate")
	require.Less(t, time.Since(began), 5*time.Second, "trying again is of no use")

	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	got, err := avro.Format[string](s.URL, registry.Token("token"), registry.TLS(&tls.Config{RootCAs: pool})).Decode(value)
	require.NoError(t, err)
	require.Equal(t, "x", got)
}
