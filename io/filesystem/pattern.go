package filesystem

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// HasMeta reports whether pattern has characters that match more than themselves.
func HasMeta(pattern string) bool { return strings.ContainsAny(pattern, `*?[{\`) }

// CheckPattern reports a pattern that is not one, before anything is looked up.
func CheckPattern(pattern string) error {
	if pattern == "" {
		return errors.New("the path is empty")
	}
	if strings.IndexByte(pattern, 0) >= 0 {
		return fmt.Errorf("%q: a path has no zero byte", pattern)
	}
	_, p, isURL := strings.Cut(pattern, "://")
	if !isURL {
		p = pattern
	}
	if !doublestar.ValidatePattern(p) {
		return fmt.Errorf("%s: not a pattern: a [, { or \\ is not closed", pattern)
	}
	return nil
}
