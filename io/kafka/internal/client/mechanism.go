package client

import "github.com/segmentio/kafka-go/sasl"

// A mechanism hides the secrets of the one it holds from printing.
type mechanism struct{ sasl.Mechanism }

// String names the mechanism only.
func (m *mechanism) String() string { return "SASL " + m.Name() }

// GoString is String.
func (m *mechanism) GoString() string { return m.String() }
