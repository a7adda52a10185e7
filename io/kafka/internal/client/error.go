package client

import (
	"errors"
	"fmt"
	"strings"
)

// ErrClosed is what every call returns after Close.
var ErrClosed = errors.New("the kafka client is closed")

// Error is a request that a broker refused, or that did not get through (Code is
// CodeNetwork and Err the cause). Read it with errors.As.
type Error struct {
	Code      int16  // Kafka's, or CodeNetwork
	Op        string // what was being done: "produce"
	Topic     string // empty if it was about no topic
	Partition int32  // -1 if it was about no partition
	Broker    string // address of the broker, where that matters
	Detail    string // what the broker said beside the code, or what to check
	Err       error  // cause, if the code says not enough

	unknown bool // it was sent whole, but nothing came back
}

// CodeNetwork is the code of errors that no broker sent: it can't be reached, or
// the connection was lost. It is what Kafka's own clients use for it.
const CodeNetwork int16 = 13

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Topic != "" {
		fmt.Fprintf(&b, " topic %s", e.Topic)
	}
	if e.Topic != "" && e.Partition >= 0 {
		fmt.Fprintf(&b, " partition %d", e.Partition)
	}
	if e.Broker != "" {
		fmt.Fprintf(&b, " at %s", e.Broker)
	}
	if e.Code != CodeNetwork {
		fmt.Fprintf(&b, ": %s", CodeText(e.Code))
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if e.Detail != "" {
		fmt.Fprintf(&b, ": %s", e.Detail)
	}
	return b.String()
}

// Unwrap gives the cause: a context's error, or that of the connection.
func (e *Error) Unwrap() error { return e.Err }

// Retriable says that the same request may succeed later: leaders and
// coordinators move, brokers come back, replicas catch up. A topic that is not
// there is of that kind as well, because it takes a moment until all brokers know
// a new one, and stays so if it was deleted: the caller sets the limit.
func (e *Error) Retriable() bool {
	switch e.Code {
	case CodeNetwork:
		return !lasting(e.Err)
	case 2, 3, 5, 6, 7, 8, 9, 14, 15, 16, 19, 20, 41, 51, 56, 72, 74, 75, 78, 88, 89:
		return true
	}
	return false
}

// Fenced says that another producer has taken over the transactional id, or that
// the broker ended the transaction because its time was over: this one must not
// go on.
func (e *Error) Fenced() bool { return e.Code == 47 || e.Code == 90 }

// NotLeader says that the broker doesn't lead the partition, or not in the epoch
// that was asked for: Refresh, and ask the new leader.
func (e *Error) NotLeader() bool {
	switch e.Code {
	case 5, 6, 9, 56, 72, 74, 75:
		return true
	}
	return false
}

// OutOfRange says that the partition doesn't have the offset: it was deleted, or
// is not yet written.
func (e *Error) OutOfRange() bool { return e.Code == 1 }

// Unknown says that it is not known whether the request was carried out.
func (e *Error) Unknown() bool {
	switch e.Code {
	case 7, 20, -1:
		return true
	}
	return e.unknown
}

// UnknownTopic says that the broker has no such topic or partition, or doesn't
// show it.
func (e *Error) UnknownTopic() bool { return e.Code == 3 }

// Exists says that the topic is there already.
func (e *Error) Exists() bool { return e.Code == 36 }

// OutOfSequence says that a batch is missing before this one, or that the broker
// forgot the producer.
func (e *Error) OutOfSequence() bool { return e.Code == 45 || e.Code == 59 }

// TooLarge says that a batch is larger than the broker or the topic allows.
func (e *Error) TooLarge() bool { return e.Code == 10 || e.Code == 18 }

// Rebalancing says that the group is being rebalanced: join it.
func (e *Error) Rebalancing() bool { return e.Code == 27 }

// OldGeneration says that the group has gone on to another generation.
func (e *Error) OldGeneration() bool { return e.Code == 22 }

// UnknownMember says that the group doesn't have this member, or has it no more.
func (e *Error) UnknownMember() bool { return e.Code == 25 }

// IDRequired says that the member has to join again by the id that it was given.
func (e *Error) IDRequired() bool { return e.Code == 79 }

// noCoordinator says that the coordinator must be looked up again.
func (e *Error) noCoordinator() bool {
	return e.Code == 15 || e.Code == 16 || e.Code == CodeNetwork
}

// refused makes an error of an answer's code; 0 is none.
func refused(a api, code int16, topic string, partition int32) error {
	if code == 0 {
		return nil
	}
	return &Error{Code: code, Op: a.name, Topic: topic, Partition: partition}
}

// CodeText says in words what a code of Kafka's protocol means, with its name for
// those who look it up.
func CodeText(code int16) string {
	if t, ok := codes[code]; ok {
		return t.text + " (" + t.name + ")"
	}
	return fmt.Sprintf("error code %d", code)
}

type codeText struct{ name, text string }

// codes are those of https://kafka.apache.org/protocol.html#protocol_error_codes
// that our requests can be answered with; the words are ours.
var codes = map[int16]codeText{
	-1:  {"UNKNOWN_SERVER_ERROR", "something unforeseen went wrong in the broker: its log says what"},
	1:   {"OFFSET_OUT_OF_RANGE", "the partition doesn't have this offset: deleted by retention, or not yet written"},
	2:   {"CORRUPT_MESSAGE", "the batch did not arrive as it was sent"},
	3:   {"UNKNOWN_TOPIC_OR_PARTITION", "there is no such topic or partition, or this user may not see it"},
	4:   {"INVALID_FETCH_SIZE", "the fetch size is not valid"},
	5:   {"LEADER_NOT_AVAILABLE", "no broker leads the partition at the moment"},
	6:   {"NOT_LEADER_OR_FOLLOWER", "another broker leads the partition now"},
	7:   {"REQUEST_TIMED_OUT", "the broker could not do it in time"},
	8:   {"BROKER_NOT_AVAILABLE", "the broker is not there"},
	9:   {"REPLICA_NOT_AVAILABLE", "the broker has no copy of the partition yet"},
	10:  {"MESSAGE_TOO_LARGE", "the batch is larger than the topic's max.message.bytes"},
	13:  {"NETWORK_EXCEPTION", "the connection was lost"},
	12:  {"OFFSET_METADATA_TOO_LARGE", "the metadata of a committed offset is longer than offset.metadata.max.bytes"},
	14:  {"COORDINATOR_LOAD_IN_PROGRESS", "the coordinator is still loading"},
	15:  {"COORDINATOR_NOT_AVAILABLE", "there is no coordinator at the moment"},
	16:  {"NOT_COORDINATOR", "another broker is the coordinator now"},
	17:  {"INVALID_TOPIC_EXCEPTION", "the topic's name is not allowed"},
	18:  {"RECORD_LIST_TOO_LARGE", "the batch is larger than segment.bytes"},
	19:  {"NOT_ENOUGH_REPLICAS", "fewer replicas are in sync than min.insync.replicas"},
	20:  {"NOT_ENOUGH_REPLICAS_AFTER_APPEND", "it was written, but fewer replicas have it than min.insync.replicas"},
	21:  {"INVALID_REQUIRED_ACKS", "acks must be -1, 0 or 1"},
	22:  {"ILLEGAL_GENERATION", "the group has gone on without this member"},
	23:  {"INCONSISTENT_GROUP_PROTOCOL", "the members of the group have no way to assign partitions in common: this one has cooperative-sticky (in other clients partition.assignment.strategy says which they have)"},
	24:  {"INVALID_GROUP_ID", "the group's name is not allowed"},
	25:  {"UNKNOWN_MEMBER_ID", "the group does not have this member, and from outside offsets can be committed only while it has none"},
	26:  {"INVALID_SESSION_TIMEOUT", "the session's time-out is outside of what the broker allows: see its group.min.session.timeout.ms and group.max.session.timeout.ms"},
	27:  {"REBALANCE_IN_PROGRESS", "the group is being rebalanced"},
	28:  {"INVALID_COMMIT_OFFSET_SIZE", "the committed offsets are too large"},
	29:  {"TOPIC_AUTHORIZATION_FAILED", "this user has no right to the topic"},
	30:  {"GROUP_AUTHORIZATION_FAILED", "this user has no right to the group"},
	31:  {"CLUSTER_AUTHORIZATION_FAILED", "this user has no such right in the cluster"},
	32:  {"INVALID_TIMESTAMP", "a record's time is outside of what the topic allows"},
	33:  {"UNSUPPORTED_SASL_MECHANISM", "the broker doesn't have this way to authenticate: see sasl.enabled.mechanisms"},
	34:  {"ILLEGAL_SASL_STATE", "the broker expects authentication at another moment"},
	35:  {"UNSUPPORTED_VERSION", "the broker doesn't have this version of the request"},
	36:  {"TOPIC_ALREADY_EXISTS", "the topic exists already"},
	37:  {"INVALID_PARTITIONS", "this number of partitions is not possible"},
	38:  {"INVALID_REPLICATION_FACTOR", "there are not so many brokers as copies are wanted"},
	39:  {"INVALID_REPLICA_ASSIGNMENT", "the copies can't be laid out like this"},
	40:  {"INVALID_CONFIG", "a setting of the topic is not valid"},
	41:  {"NOT_CONTROLLER", "another broker is the controller now"},
	42:  {"INVALID_REQUEST", "the broker does not understand the request"},
	43:  {"UNSUPPORTED_FOR_MESSAGE_FORMAT", "the topic's message format is too old for this"},
	44:  {"POLICY_VIOLATION", "a policy of the cluster forbids it"},
	45:  {"OUT_OF_ORDER_SEQUENCE_NUMBER", "a batch before this one is missing"},
	46:  {"DUPLICATE_SEQUENCE_NUMBER", "the batch was written already"},
	47:  {"INVALID_PRODUCER_EPOCH", "another producer has taken over the transactional id, or the transaction's time was over"},
	48:  {"INVALID_TXN_STATE", "the transaction is not in a state for this"},
	49:  {"INVALID_PRODUCER_ID_MAPPING", "the producer id does not belong to the transactional id any more"},
	50:  {"INVALID_TRANSACTION_TIMEOUT", "the transaction's time-out is longer than the broker's transaction.max.timeout.ms"},
	51:  {"CONCURRENT_TRANSACTIONS", "the transaction before is still being ended"},
	53:  {"TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "this user has no right to the transactional id"},
	54:  {"SECURITY_DISABLED", "the broker has no security switched on"},
	55:  {"OPERATION_NOT_ATTEMPTED", "it was not tried, because another part of the request is wrong"},
	56:  {"KAFKA_STORAGE_ERROR", "the broker can't read or write its disk"},
	58:  {"SASL_AUTHENTICATION_FAILED", "the broker refuses these credentials"},
	59:  {"UNKNOWN_PRODUCER_ID", "the broker has forgotten the producer"},
	60:  {"REASSIGNMENT_IN_PROGRESS", "the partition is being moved"},
	69:  {"GROUP_ID_NOT_FOUND", "there is no such group"},
	72:  {"LISTENER_NOT_FOUND", "the leader has no listener of this name"},
	73:  {"TOPIC_DELETION_DISABLED", "topics can't be deleted in this cluster"},
	74:  {"FENCED_LEADER_EPOCH", "the partition has a newer leader than this client knows"},
	75:  {"UNKNOWN_LEADER_EPOCH", "the broker does not yet know the partition's newest leader"},
	76:  {"UNSUPPORTED_COMPRESSION_TYPE", "the broker does not have this compression"},
	78:  {"OFFSET_NOT_AVAILABLE", "the new leader doesn't know yet how far the partition is written"},
	79:  {"MEMBER_ID_REQUIRED", "the member has to join by the id that it was given"},
	80:  {"PREFERRED_LEADER_NOT_AVAILABLE", "the preferred leader is not there"},
	81:  {"GROUP_MAX_SIZE_REACHED", "the group has as many members as the broker allows"},
	82:  {"FENCED_INSTANCE_ID", "another process has joined the group by the same instance name"},
	87:  {"INVALID_RECORD", "the broker doesn't accept a record: a compacted topic needs keys, for one"},
	88:  {"UNSTABLE_OFFSET_COMMIT", "an offset is in a transaction that has not ended"},
	89:  {"THROTTLING_QUOTA_EXCEEDED", "a quota is used up for the moment"},
	90:  {"PRODUCER_FENCED", "another producer has taken over the transactional id"},
	119: {"REBOOTSTRAP_REQUIRED", "the cluster is another one than before"},
	120: {"TRANSACTION_ABORTABLE", "the transaction can only be aborted"},
}
