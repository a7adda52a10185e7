package text

import (
	"go/build"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Sample is the path of a real book that comes with every Go installation:
// Newton's Opticks. If it is not there, reading it says so.
func Sample() string {
	const book = "src/testdata/Isaac.Newton-Opticks.txt"
	roots := []string{build.Default.GOROOT}
	if out, err := exec.Command("go", "env", "GOROOT").Output(); err == nil {
		roots = append(roots, strings.TrimSpace(string(out)))
	}
	for _, root := range roots {
		if root == "" {
			continue
		}
		p := filepath.Join(root, filepath.FromSlash(book))
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	return filepath.Join("$GOROOT", filepath.FromSlash(book))
}
