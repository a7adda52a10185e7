package kafka

import (
	"context"

	"github.com/segmentio/kafka-go/sasl"

	"github.com/millrace/millrace/io/kafka/internal/client"
)

// clientConfig is how a URL and options say that a cluster is reached. The files that
// the URL names are read here.
func (a *address) clientConfig(c connection) (client.Config, error) {
	tls, err := a.tlsConfig(c)
	if err != nil {
		return client.Config{}, err
	}
	mechanism, err := a.mechanism(c)
	if err != nil {
		return client.Config{}, err
	}
	timeout, err := a.timeout()
	if err != nil {
		return client.Config{}, err
	}
	return client.Config{Brokers: a.Brokers, ClientID: a.clientID(), TLS: tls, SASL: mechanism, RequestTimeout: timeout}, nil
}

// mechanism is how to log in; nil is not at all.
func (a *address) mechanism(c connection) (sasl.Mechanism, error) {
	how, err := a.login(c)
	if err != nil {
		return nil, err
	}
	switch how {
	case saslPlain:
		return client.Plain(a.User, a.password), nil
	case saslSHA256:
		return client.Scram256(a.User, a.password)
	case saslSHA512:
		return client.Scram512(a.User, a.password)
	case saslOAuth:
		if c.token != nil {
			return client.OAuth(c.token), nil
		}
		token := a.password
		return client.OAuth(func(context.Context) (string, error) { return token, nil }), nil
	}
	return nil, nil
}
