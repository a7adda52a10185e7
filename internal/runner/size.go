package runner

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ParseBytes reads a size: a number with B, KiB, MiB, GiB, or KB, MB, GB.
func ParseBytes(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	digits := strings.TrimRight(s, "BKMGikmgb")
	unit := map[string]int64{"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "kb": 1e3, "mb": 1e6, "gb": 1e9}[strings.ToLower(s[len(digits):])]
	n, err := strconv.ParseFloat(digits, 64)
	n *= float64(unit)
	if err != nil || unit == 0 || !(n >= 0 && n < math.MaxInt64) { // so, for NaN is neither
		return 0, fmt.Errorf("%q: want a size such as 512MiB or 4GiB", s)
	}
	return int64(n), nil
}
