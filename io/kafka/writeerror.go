package kafka

import (
	"errors"
	"fmt"

	"github.com/millrace/millrace/io/kafka/internal/client"
)

// writeError is a batch that can't be written.
type writeError struct {
	topic     string
	partition int32
	records   int
	err       error
	advice    string
}

func (e *writeError) Error() string {
	text := fmt.Sprintf("write %d records to topic %s, partition %d: %v", e.records, e.topic, e.partition, e.err)
	if e.advice != "" {
		text += ": " + e.advice
	}
	return text
}

func (e *writeError) Unwrap() error { return e.err }

// advice says what to do about an error of a broker; "" if it says so itself.
func (s *sender) advice(err error) string {
	e, ok := errors.AsType[*client.Error](err)
	if !ok {
		return ""
	}
	switch {
	case e.TooLarge():
		return fmt.Sprintf("make batches smaller (batch=, now %d bytes, if it is not a single record), or raise the topic's max.message.bytes", s.cfg.batchBytes)
	case e.UnknownTopic():
		return "create the topic, or let the sink do so with kafka.CreateTopic"
	}
	switch e.Code {
	case 29: // TOPIC_AUTHORIZATION_FAILED
		return "the user needs the right to WRITE to the topic"
	case 32: // INVALID_TIMESTAMP
		return "see the topic's message.timestamp.before.max.ms and message.timestamp.after.max.ms, or use kafka.ProcessingTime"
	case 31: // CLUSTER_AUTHORIZATION_FAILED
		return "the user needs the right IDEMPOTENT_WRITE in the cluster, or acks=1"
	case 30: // GROUP_AUTHORIZATION_FAILED
		return fmt.Sprintf("the user needs the right to READ the groups %s-*", s.cfg.prefix)
	case 53: // TRANSACTIONAL_ID_AUTHORIZATION_FAILED
		return fmt.Sprintf("the user needs the rights to WRITE and DESCRIBE the transactional ids %s-*", s.cfg.prefix)
	case 50: // INVALID_TRANSACTION_TIMEOUT
		return "use a shorter kafka.TransactionTimeout"
	}
	return ""
}

// explain adds the advice to an error.
func (s *sender) explain(err error) error {
	if advice := s.advice(err); advice != "" {
		return fmt.Errorf("%w: %s", err, advice)
	}
	return err
}
