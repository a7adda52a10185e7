package conformance

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Goal: the data mean something. Every case is whole, its rules are in the
// document, and nothing is expected at a step that it does not have.
func TestScenarios_areWhole(t *testing.T) {
	all, err := scenarios()
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(all), 146)
	doc, err := os.ReadFile("../../docs/semantics.md")
	require.NoError(t, err)
	rules := map[string]bool{"D": true}
	for _, m := range regexp.MustCompile(`(?m)^- \*\*(M\d+)\*\*`).FindAllStringSubmatch(string(doc), -1) {
		rules[m[1]] = true
	}
	seen := map[string]bool{}
	for _, sc := range all {
		assert.False(t, seen[sc.ID], "two are named %s", sc.ID)
		seen[sc.ID] = true
		assert.NotEmpty(t, sc.About, sc.ID)
		assert.NotEmpty(t, sc.Script, sc.ID)
		assert.NotEmpty(t, sc.Rules, sc.ID)
		for _, r := range sc.Rules {
			assert.True(t, rules[r], "%s: rule %s is not in the document", sc.ID, r)
		}
		assert.Equal(t, sc.ExpectError == "", sc.Error == "", "%s: an error needs our own sentence", sc.ID)
		assert.True(t, len(sc.Confirmed) > 0 || sc.Decided != "", "%s: neither confirmed nor decided", sc.ID)
		for _, e := range append(sc.Expect, sc.Ours...) {
			assert.Less(t, e.Step, len(sc.Script), sc.ID)
		}
	}
	for _, m := range regexp.MustCompile(`\(sc: ([^)\[]*)`).FindAllStringSubmatch(string(doc), -1) {
		for _, id := range regexp.MustCompile(`[a-z]+(-[a-z0-9]+)+`).FindAllString(m[1], -1) {
			known := slices.ContainsFunc(all, func(sc scenario) bool { return strings.HasPrefix(sc.ID, id) })
			assert.True(t, known, "the document names %s, which is no scenario", id)
		}
	}
}

func TestItems(t *testing.T) {
	for list, want := range map[string][]string{"[]": nil, "[a]": {"a"}, "[a,b]": {"a", "b"}, "[x[a,b],y[],z]": {"x[a,b]", "y[]", "z"}} {
		assert.Equal(t, want, items(list), list)
	}
}
