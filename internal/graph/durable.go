package graph

import "context"

type (
	durableKey  struct{}
	snapshotKey struct{}
)

// Durable marks the context of a run whose epochs outlive the process.
func Durable(ctx context.Context) context.Context {
	return context.WithValue(ctx, durableKey{}, true)
}

// IsDurable reports that ctx is, or comes from, the context of such a run.
func IsDurable(ctx context.Context) bool { return ctx.Value(durableKey{}) != nil }

// Snapshots marks the context of a run that takes snapshots: readers are told of them.
func Snapshots(ctx context.Context) context.Context {
	return context.WithValue(ctx, snapshotKey{}, true)
}

// HasSnapshots reports that ctx is, or comes from, the context of such a run.
func HasSnapshots(ctx context.Context) bool { return ctx.Value(snapshotKey{}) != nil }
