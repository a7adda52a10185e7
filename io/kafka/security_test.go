package kafka

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestClientConfig(t *testing.T) {
	token := func(context.Context) (string, error) { return "hunter2", nil }
	for _, tt := range []struct {
		story string
		url   string
		opts  []Option
		want  string // how the config prints
		wrong string
	}{
		{story: "nothing said", url: "kafka://a,b:1/x", want: "kafka at a:9092,b:1"},
		{story: "TLS", url: "kafkas://a/x", want: "kafka at a:9092 with TLS"},
		{story: "a user", url: "kafkas://u:hunter2@a/x", want: "kafka at a:9092 with TLS with SASL PLAIN"},
		{story: "SCRAM with 256 bits", url: "kafka://u:hunter2@a/x?sasl=scram-sha-256", want: "kafka at a:9092 with SASL SCRAM-SHA-256"},
		{story: "SCRAM with 512 bits", url: "kafka://u:hunter2@a/x?sasl=scram-sha-512", want: "kafka at a:9092 with SASL SCRAM-SHA-512"},
		{story: "a password that SCRAM forbids", url: "kafka://u:hunter2%01@a/x?sasl=scram-sha-512", wrong: "has characters that SCRAM-SHA-512 does not allow"},
		{story: "tokens of a function", url: "kafka://a/x", opts: []Option{OAuth(token)}, want: "kafka at a:9092 with SASL OAUTHBEARER"},
		{story: "a token in the URL", url: "kafka://u:hunter2@a/x?sasl=oauthbearer", want: "kafka at a:9092 with SASL OAUTHBEARER"},
		{story: "a file that is not there", url: "kafkas://a/x?ca=nowhere.pem", wrong: "read the certificates of ca"},
	} {
		t.Run(tt.story, func(t *testing.T) {
			a, err := parseURL(tt.url, connectParams...)
			require.NoError(t, err)
			var c connection
			for _, o := range tt.opts {
				o(&c)
			}
			cfg, err := a.clientConfig(c)
			if tt.wrong != "" {
				require.ErrorContains(t, err, tt.wrong)
				assert.NotContains(t, err.Error(), "hunter2")
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.want, fmt.Sprintf("%+v", cfg))
			assert.NotContains(t, fmt.Sprintf("%#v", cfg.SASL), "hunter2")
		})
	}
	a, err := parseURL("kafka://a/x?timeout=3s&client=me", connectParams...)
	require.NoError(t, err)
	cfg, err := a.clientConfig(connection{})
	require.NoError(t, err)
	assert.Equal(t, 3*time.Second, cfg.RequestTimeout)
	assert.Equal(t, "me", cfg.ClientID)
}
