package kafka

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline"
)

// A dead letter is a record with its own key, value and headers, and with these headers
// behind them, as text: why it is there, and where it was. Times are RFC 3339.
const (
	headerError     = "millrace.error"
	headerTopic     = "millrace.topic"
	headerPartition = "millrace.partition"
	headerOffset    = "millrace.offset"
	headerTimestamp = "millrace.timestamp" // missing if the record had none
	headerCluster   = "millrace.cluster"
	headerAt        = "millrace.at"
)

// errorBytesMax is how much of an error is written: a record must not become too large
// for a topic by what is wrong with it.
const errorBytesMax = 4096

// WriteBad writes bad records, those of [ReadWithBad], to a dead-letter topic: as they
// were, with headers behind their own that say why they are there (millrace.error, at)
// and where they were read (millrace.cluster, topic, partition, offset, timestamp). The
// options are those of [Write]; with [ExactlyOnce] there is one letter for each bad
// record. [Redrive] writes letters back.
func WriteBad(bad pipeline.PCollection[BadRecord], url string, opts ...WriteOption) {
	write(bad, "kafka.WriteBad", url, deadLetters(), opts)
}

// deadLetters is the format of a dead-letter topic. Letters have the time of the
// failure: with the record's own, a topic's retention could delete them at once.
func deadLetters() Format[BadRecord] {
	return Format[BadRecord]{
		Name:   "dead letter",
		Decode: openLetter,
		Encode: writeLetter,
	}
}

func writeLetter(l BadRecord, r *Record) error {
	r.Key, r.Value, r.Time = slices.Clip(l.Key), slices.Clip(l.Value), l.At
	add := func(name, text string) { r.Headers = append(r.Headers, Header{name, []byte(text)}) }
	r.Headers = append(r.Headers[:0], l.Headers...)
	add(headerError, clip(l.Error, errorBytesMax))
	add(headerTopic, l.Topic)
	add(headerPartition, strconv.Itoa(int(l.Partition)))
	add(headerOffset, strconv.FormatInt(l.Offset, 10))
	if !l.Time.IsZero() {
		add(headerTimestamp, timeText(l.Time))
	}
	add(headerCluster, l.Cluster)
	add(headerAt, timeText(l.At))
	return nil
}

// clip is the beginning of text, in whole letters.
func clip(text string, bytes int) string {
	if len(text) <= bytes {
		return text
	}
	return strings.ToValidUTF8(text[:bytes], "")
}

// timeText is as exact as Kafka is.
func timeText(t time.Time) string {
	return t.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano)
}

// openLetter takes the headers away that writeLetter has added. Where a letter was put
// into another one, that is its last ones.
func openLetter(r *Record) (l BadRecord, err error) {
	l.Record = r.clone()
	take := func(name string) (string, bool) {
		for i := len(l.Headers) - 1; i >= 0; i-- {
			if l.Headers[i].Key == name {
				text := string(l.Headers[i].Value)
				l.Headers = slices.Delete(l.Headers, i, i+1)
				return text, true
			}
		}
		return "", false
	}
	need := func(name string) string {
		text, ok := take(name)
		if !ok && err == nil {
			err = fmt.Errorf("no dead letter: there is no header %s", name)
		}
		return text
	}
	l.Error, l.Topic, l.Cluster = need(headerError), need(headerTopic), need(headerCluster)
	partition, offset, at := need(headerPartition), need(headerOffset), need(headerAt)
	stamp, stamped := take(headerTimestamp)
	if err != nil {
		return BadRecord{}, err
	}
	n, err1 := strconv.ParseUint(partition, 10, 31)
	l.Partition = int32(n)
	var err2, err3, err4 error
	l.Offset, err2 = strconv.ParseInt(offset, 10, 64)
	l.At, err3 = time.Parse(time.RFC3339Nano, at)
	l.Time = time.Time{}
	if stamped {
		l.Time, err4 = time.Parse(time.RFC3339Nano, stamp)
	}
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return BadRecord{}, fmt.Errorf("no dead letter: %w", err)
	}
	if len(l.Headers) == 0 {
		l.Headers = nil
	}
	return l, nil
}
