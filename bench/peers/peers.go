// Package peers holds what Millrace is measured against: the specification of
// the workload (NEXMARK.md), the results that every engine must reach
// (expected.tsv), and the same queries for other engines, which run.sh builds
// and runs. bench/peers/compare alternates them in one sitting.
package peers

import _ "embed"

// ExpectedTSV is expected.tsv: one line per query and number of events, of four
// fields separated by tabs: query, events, outputs, checksum in 16 hex digits.
//
//go:embed expected.tsv
var ExpectedTSV string
