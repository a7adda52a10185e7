package upgrade_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/internal/upgrade"
)

// updating reports the flag -update (of pipelinetest): what is expected is written anew.
// With MILLRACE_GOLDEN=NAME in the environment, so are rows of that name.
func updating() bool { return flag.Lookup("update").Value.String() == "true" }

// Goal: rows that any release wrote can be read and migrated by this one. Method:
// testdata/NAME holds the manifest and the rows of a job as that release wrote them,
// never to be written again, and what this release makes of them for the newer version
// of the job: the plan, and each migrated row as JSON.
func TestGolden_rowsOfEveryRelease(t *testing.T) {
	if name := os.Getenv("MILLRACE_GOLDEN"); updating() && name != "" {
		writeGolden(t, filepath.Join("testdata", name))
	}
	dirs, err := filepath.Glob("testdata/v*")
	require.NoError(t, err)
	require.NotEmpty(t, dirs)
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var old commit.Manifest
			b, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(b, &old))
			layouts := map[string]*upgrade.Layout{}
			for _, n := range old.Nodes {
				layouts[n.Name], err = upgrade.LayoutOf(n)
				require.NoError(t, err)
			}
			p, _ := built(elements, makeSale2)
			m := upgrade.ManifestOf(p.Graph())
			news := map[string]*upgrade.Layout{}
			for i, n := range m.Nodes {
				news[n.Name], err = upgrade.LayoutOf(n)
				require.NoError(t, err)
				m.Nodes[i].Position = "shop/main.go:1" // not of this file, which changes
			}
			r := upgrade.Plan(old, m, upgrade.Options{})
			require.NoError(t, r.Err())

			var before, after []string
			show := func(l *upgrade.Layout, node string, key, val []byte) string {
				e, err := l.Split(key, val)
				require.NoError(t, err, node)
				text, err := e.AppendJSON(nil)
				require.NoError(t, err, node)
				return node + " " + string(text)
			}
			for _, row := range readGolden(t, filepath.Join(dir, "rows.txt")) {
				before = append(before, show(layouts[row.Node], row.Node, row.Key, row.Val))
				put := func(_ int, key, val []byte) {
					name, _ := r.Name(row.Node)
					after = append(after, show(news[name], name, key, val))
				}
				if f := r.Migration(row.Node); f != nil {
					require.NoError(t, f(row.Group, row.Key, row.Val, put))
				} else {
					put(row.Group, row.Key, row.Val)
				}
			}
			golden(t, filepath.Join(dir, "plan.txt"), r.String())
			golden(t, filepath.Join(dir, "shown.txt"), strings.Join(before, "\n")+"\n")
			golden(t, filepath.Join(dir, "migrated.txt"), strings.Join(after, "\n")+"\n")
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if updating() {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o666))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

func readGolden(t *testing.T, file string) (rows []commit.Row) {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	for line := range strings.Lines(string(b)) {
		cols := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		require.Len(t, cols, 5)
		r := commit.Row{Node: cols[0]}
		_, err := fmt.Sscan(cols[1], &r.Lane)
		require.NoError(t, err)
		_, err = fmt.Sscan(cols[2], &r.Group)
		require.NoError(t, err)
		r.Key, err = hex.DecodeString(cols[3])
		require.NoError(t, err)
		r.Val, err = hex.DecodeString(cols[4])
		require.NoError(t, err)
		rows = append(rows, r)
	}
	return rows
}

// writeGolden writes the rows of a job in the middle, once for each release.
func writeGolden(t *testing.T, dir string) {
	p, _ := built(31, makeSale1)
	store := commit.NewMemory()
	_, err := engine.Run(t.Context(), p.Graph(), configOf(t, p.Graph(), 1, store))
	require.ErrorIs(t, err, errNewVersion)
	require.NoError(t, os.Mkdir(dir, 0o777), "golden rows are not written twice")
	m, err := json.MarshalIndent(store.Last().Manifest, "", "\t")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "manifest.json"), m, 0o666))
	var lines []string
	require.NoError(t, store.Rows(commit.Want{}, func(r commit.Row) error {
		lines = append(lines, fmt.Sprintf("%s\t%d\t%d\t%x\t%x\n", r.Node, r.Lane, r.Group, r.Key, r.Val))
		return nil
	}))
	slices.Sort(lines)
	var b bytes.Buffer
	for _, l := range lines {
		b.WriteString(l)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rows.txt"), b.Bytes(), 0o666))
}
