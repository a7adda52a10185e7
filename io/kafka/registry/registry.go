// Package registry has what the formats share whose values are written in the wire
// format of Confluent's Schema Registry: a zero byte, the id of the writer's schema in
// four bytes, and the value. Karapace, Apicurio, Redpanda and others speak it, too.
//
//	orders := kafka.Read(p, "kafka://localhost:9092/orders", avro.Format[Order]("http://localhost:8081"))
//
// The formats are in packages of their own, so that a program links what it uses:
// avro, protobuf and jsonschema. Package registrytest is a registry for tests.
//
// The registry is asked for a schema when its id is first seen. When it does not
// answer, or refuses us, that is a [kafka.Outage], which stops the run; an id that it
// does not know is a bad record's. Where the value of a record is to be a pointer,
// a tombstone is nil; elsewhere, it is a bad record.
//
// To write, the schema has to be in the registry, unless Register is given.
package registry

import (
	"crypto/tls"
	"time"

	"github.com/millrace/millrace/io/kafka/registry/internal/schemas"
)

// Option configures a format of a schema registry.
type Option func(*schemas.Config)

// BasicAuth logs in; so do a user and a password in the URL. Neither is shown in errors.
func BasicAuth(user, password string) Option {
	return func(c *schemas.Config) { c.User, c.Password = user, password }
}

// Token logs in by a bearer token.
func Token(token string) Option { return func(c *schemas.Config) { c.Token = token } }

// TLS is how to check the registry's certificate, and the program's own one. cfg is
// not changed afterwards.
func TLS(cfg *tls.Config) Option { return func(c *schemas.Config) { c.TLS = cfg } }

// Timeout is how long the registry is asked again, when it does not answer, before the
// run stops; default 15s.
func Timeout(d time.Duration) Option { return func(c *schemas.Config) { c.Timeout = d } }

// Schema is the schema to read and to write by. Avro: what is read is made to fit it,
// by Avro's rules of schema resolution. JSON Schema: what is read is checked by it, in
// place of the writer's. Protobuf: the text of the message's file, to be registered.
func Schema(text string) Option { return func(c *schemas.Config) { c.Schema = text } }

// Register registers the schema to write by, where it is not in the registry yet. The
// registry refuses one that is not compatible with those before it.
func Register() Option { return func(c *schemas.Config) { c.Register = true } }

// Latest writes by the schema of the subject that is the newest when the first record
// is written.
func Latest() Option { return func(c *schemas.Config) { c.Latest = true } }

// ForKey says that the format is for keys, for the subject's name.
func ForKey() Option { return func(c *schemas.Config) { c.Key = true } }

// Strategy names the subject, in the registry, of what is written: topic is where to,
// record the full name of the record or message, "" where a schema has none, and key
// says that it is for keys.
type Strategy func(topic, record string, key bool) string

// ByTopic is the default: orders-value, orders-key.
func ByTopic(topic, record string, key bool) string { return schemas.ByTopic(topic, record, key) }

// ByRecord is the full name of the record or message: com.example.Order.
func ByRecord(_, record string, _ bool) string { return record }

// ByTopicAndRecord is the topic and the full name: orders-com.example.Order.
func ByTopicAndRecord(topic, record string, _ bool) string { return topic + "-" + record }

// Subject names subjects by a strategy.
func Subject(s Strategy) Option { return func(c *schemas.Config) { c.Subject = s } }
