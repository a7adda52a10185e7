//go:build invariant

package invariant

// On reports that costly invariants are checked.
const On = true
