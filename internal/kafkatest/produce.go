package kafkatest

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Codecs are the names of all compressions, for Compressed.
var Codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// A ProduceOption changes how Produce writes.
type ProduceOption func(*producing)

type producing struct {
	opts []kgo.Opt
	txn  string // empty: none
	end  outcome
}

type outcome uint8

const (
	open outcome = iota
	committed
	aborted
)

// Compressed compresses with the codec of this name.
func Compressed(codec string) ProduceOption {
	return func(p *producing) {
		p.opts = append(p.opts, kgo.ProducerBatchCompression(map[string]kgo.CompressionCodec{
			"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
			"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
		}[codec]))
	}
}

// Committed writes in a transaction, and commits it.
func Committed(txnID string) ProduceOption {
	return func(p *producing) { p.transactional(txnID, committed) }
}

// Aborted writes in a transaction, and aborts it.
func Aborted(txnID string) ProduceOption {
	return func(p *producing) { p.transactional(txnID, aborted) }
}

// LeftOpen writes in a transaction, and leaves it open: the broker aborts it after
// timeout, or when txnID begins another one.
func LeftOpen(txnID string, timeout time.Duration) ProduceOption {
	return func(p *producing) {
		p.transactional(txnID, open)
		p.opts = append(p.opts, kgo.TransactionTimeout(timeout))
	}
}

func (p *producing) transactional(id string, end outcome) {
	p.txn, p.end = id, end
	p.opts = append(p.opts, kgo.TransactionalID(id))
}

// Produce writes records, as one batch for each partition unless that is too large, and
// returns them with their offsets. It waits until all replicas in sync have them.
func Produce(t testing.TB, addrs []string, topic string, records []Record, opts ...ProduceOption) []Record {
	t.Helper()
	p := producing{opts: []kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ManualFlushing(),
		kgo.MaxBufferedRecords(len(records) + 1), kgo.ProducerBatchCompression(kgo.NoCompression())}}
	for _, o := range opts {
		o(&p)
	}
	kc := connect(t, addrs, p.opts...)
	defer kc.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := p.run(ctx, kc, topic, records)
	if err != nil {
		t.Fatalf("produce %d records to %s: %v", len(records), topic, err)
	}
	return out
}

func (p *producing) run(ctx context.Context, kc *kgo.Client, topic string, records []Record) ([]Record, error) {
	if p.txn != "" {
		if err := kc.BeginTransaction(); err != nil {
			return nil, err
		}
	}
	sent := make([]*kgo.Record, len(records))
	failed := make(chan error, len(records))
	for i := range records {
		sent[i] = records[i].toKgo(topic)
		kc.Produce(ctx, sent[i], func(_ *kgo.Record, err error) {
			if err != nil {
				failed <- err
			}
		})
	}
	if err := kc.Flush(ctx); err != nil {
		return nil, err
	}
	select {
	case err := <-failed:
		return nil, err
	default:
	}
	if p.end != open {
		if err := p.endTxn(ctx, kc); err != nil {
			return nil, err
		}
	}
	out := make([]Record, len(sent))
	for i, r := range sent {
		out[i] = fromKgo(r)
	}
	return out, nil
}

// endTxn ends the transaction by a request of its own: EndTransaction of franz-go 1.22 now
// and then doesn't see that something was produced, aborts what it was told to commit, or
// leaves it open, and reports success.
func (p *producing) endTxn(ctx context.Context, kc *kgo.Client) error {
	id, epoch, err := kc.ProducerID(ctx)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = p.txn, id, epoch, p.end == committed
	return again(ctx, func() error {
		resp, err := req.RequestWith(ctx, kc)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(resp.ErrorCode)
	})
}
