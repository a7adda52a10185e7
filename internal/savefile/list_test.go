package savefile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestList(t *testing.T) {
	dir := t.TempDir()
	none, err := List(filepath.Join(dir, "savepoints"))
	require.NoError(t, err)
	require.Empty(t, none)

	require.NoError(t, Write(filepath.Join(dir, "b"+Suffix), storeOf(t, record(), smallRows()), facts))
	for _, name := range []string{"a" + Suffix, ".hidden" + Suffix, "notes.txt"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("something else"), 0o600))
	}
	list, err := List(dir)
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, "a", list[0].Name)
	require.Contains(t, list[0].Problem, "not a savepoint")
	list[1].Path, list[1].Size = "", 0
	require.Equal(t, Info{Name: "b", Created: facts.Created, Epoch: 7, Lanes: 2, Rows: 6}, list[1])
}

func TestCheckName(t *testing.T) {
	for _, good := range []string{"a", "before-upgrade_2", "v1.2", "_", NameAt(time.Unix(0, 0)), strings.Repeat("x", 100)} {
		require.NoError(t, CheckName(good))
	}
	for _, bad := range []string{"", ".", "..", ".a", "-rf", "a/b", `a\b`, "a..b", "a b", "é", "a\x00", "%2e", strings.Repeat("x", 101)} {
		require.ErrorContains(t, CheckName(bad), "savepoint name", bad)
	}
	require.Equal(t, "19700101-000000", NameAt(time.Unix(0, 0)))
}
