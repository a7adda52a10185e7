// Package invariant says whether what costs too much in production is checked: where the
// build tag invariant is set, as it is in CI under the race detector.
package invariant
