package kafka

import (
	"context"
	"crypto/tls"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseURL(t *testing.T) {
	known := append([]string{"group", "start"}, connectParams...)
	for _, tc := range []struct {
		story, url string
		want       address
	}{
		{"one broker", "kafka://a:9092/orders", address{Brokers: []string{"a:9092"}, Topic: "orders"}},
		{"the port that brokers have", "kafka://a/orders", address{Brokers: []string{"a:9092"}, Topic: "orders"}},
		{"several brokers", "kafka://a:1,b,c:3/orders", address{Brokers: []string{"a:1", "b:9092", "c:3"}, Topic: "orders"}},
		{"TLS", "kafkas://a/orders", address{Brokers: []string{"a:9092"}, Topic: "orders", TLS: true}},
		{"IPv6", "kafka://[::1]:9093,[fe80::1]/orders", address{Brokers: []string{"[::1]:9093", "[fe80::1]:9092"}, Topic: "orders"}},
		{"a user", "kafka://ann:se%40cr%2Fet@a/orders", address{Brokers: []string{"a:9092"}, Topic: "orders", User: "ann", password: "se@cr/et"}},
		{"no topic", "kafka://a", address{Brokers: []string{"a:9092"}}},
		{"several topics", "kafka://a/x,y.z?group=g", address{Brokers: []string{"a:9092"}, Topic: "x,y.z"}},
	} {
		t.Run(tc.story, func(t *testing.T) {
			got, err := parseURL(tc.url, known...)
			require.NoError(t, err)
			got.params = nil
			assert.Equal(t, tc.want, *got)
		})
	}
}

func TestParseURL_mistakes(t *testing.T) {
	for _, tc := range []struct{ story, url, want string }{
		{"no scheme", "a:9092/orders", "want a URL as kafka://host:9092/topic"},
		{"another scheme", "http://a/orders", "want a URL as kafka://host:9092/topic"},
		{"no broker", "kafka:///orders", "names no broker"},
		{"a comma too many", "kafka://a,/orders", "names no broker"},
		{"a port that is none", "kafka://a:x/orders", `"a:x" is no address of a broker`},
		{"a port too big", "kafka://a:99999/orders", `"a:99999" is no address`},
		{"a password that is badly escaped", "kafka://u:top%secret@a/orders", "badly escaped"},
		{"a password without a user", "kafka://:topsecret@a/orders", "a password and no user"},
		{"an unknown parameter", "kafka://u:topsecret@a/orders?grup=g", `the parameter "grup": there are ca, cert, client, group`},
		{"a parameter twice", "kafka://a/orders?group=g&group=h", `"group" twice`},
		{"a fragment", "kafka://u:topsecret@a/orders#x", "%23"},
	} {
		t.Run(tc.story, func(t *testing.T) {
			_, err := parseURL(tc.url, append([]string{"group"}, connectParams...)...)
			require.ErrorContains(t, err, tc.want)
			assert.NotContains(t, err.Error(), "secret")
		})
	}
}

func TestAddress_printsNoSecret(t *testing.T) {
	a, err := parseURL("kafkas://ann:topsecret@a,b/orders?key=topsecret", connectParams...)
	require.NoError(t, err)
	for _, form := range []string{"%v", "%+v", "%s", "%#v", "%q"} {
		assert.NotContains(t, fmt.Sprintf(form, a), "topsecret", form)
	}
	assert.Equal(t, "kafkas://a:9092,b:9092/orders", a.String())
}

func TestTopics(t *testing.T) {
	for topic, want := range map[string]string{
		"":       "no topic is named",
		"a,":     "no topic is named",
		"..":     "can't be named",
		"a b":    "letters of the Latin alphabet",
		"orders": "",
		"a,b.c":  "",
	} {
		_, err := (&address{Topic: topic}).topics()
		if want == "" {
			assert.NoError(t, err)
		} else {
			assert.ErrorContains(t, err, want, topic)
		}
	}
}

func TestLogin(t *testing.T) {
	token := connection{token: func(context.Context) (string, error) { return "t", nil }}
	for _, tc := range []struct {
		story, url string
		c          connection
		want, err  string
	}{
		{story: "nobody", url: "kafka://a/x"},
		{story: "a user", url: "kafka://u:p@a/x", want: saslPlain},
		{story: "by SCRAM", url: "kafka://u:p@a/x?sasl=scram-sha-512", want: saslSHA512},
		{story: "a token in the URL", url: "kafka://u:tok@a/x?sasl=oauthbearer", want: saslOAuth},
		{story: "a function for tokens", url: "kafka://a/x", c: token, want: saslOAuth},
		{story: "no user", url: "kafka://a/x?sasl=plain", err: "no user"},
		{story: "an unknown way", url: "kafka://u:p@a/x?sasl=gssapi", err: "there are plain"},
		{story: "two ways", url: "kafka://u:p@a/x", c: token, err: "another way"},
	} {
		t.Run(tc.story, func(t *testing.T) {
			a, err := parseURL(tc.url, connectParams...)
			require.NoError(t, err)
			got, err := a.login(tc.c)
			if tc.err != "" {
				require.ErrorContains(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tc.want, got)
		})
	}
}

func TestTLSConfig(t *testing.T) {
	for _, tc := range []struct {
		story, url string
		c          connection
		some       bool
		err        string
	}{
		{story: "none", url: "kafka://a/x"},
		{story: "as it comes", url: "kafkas://a/x", some: true},
		{story: "the user's own", url: "kafka://a/x", c: connection{tls: &tls.Config{}}, some: true},
		{story: "two of it", url: "kafkas://a/x?server=b", c: connection{tls: &tls.Config{}}, err: "kafka.TLS is given"},
		{story: "certificates and no TLS", url: "kafka://a/x?ca=f", err: "kafkas://"},
		{story: "half a pair", url: "kafkas://a/x?cert=f", err: "both cert and key"},
		{story: "no such file", url: "kafkas://a/x?ca=no-such-file", err: "no-such-file"},
	} {
		t.Run(tc.story, func(t *testing.T) {
			a, err := parseURL(tc.url, connectParams...)
			require.NoError(t, err)
			got, err := a.tlsConfig(tc.c)
			if tc.err != "" {
				require.ErrorContains(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tc.some, got != nil)
		})
	}
}
