// Package docs holds the tests of the documentation: its commands run, its code
// compiles because it stands in programs that do.
package docs

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var block = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```")

// blocks is the code of one language in a document.
func blocks(t *testing.T, path, language string) (out []string) {
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, m := range block.FindAllStringSubmatch(string(b), -1) {
		if m[1] == language {
			out = append(out, m[2])
		}
	}
	require.NotEmpty(t, out, "%s has no %s", path, language)
	return out
}

// flat is code without the white space at the ends of its lines.
func flat(code string) string {
	var lines []string
	for l := range strings.Lines(code) {
		lines = append(lines, strings.TrimSpace(l))
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// The Go code of the tutorial and of the pages about streams and Kafka stands, line by
// line, in programs and tests that run.
func TestTutorials_codeStandsInTheExamples(t *testing.T) {
	var code strings.Builder
	for _, root := range []string{"../examples", ".", "../transforms"} {
		require.NoError(t, fs.WalkDir(os.DirFS(root), ".", func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || root != "../examples" && path != "example_test.go" {
				return err
			}
			b, err := os.ReadFile(filepath.Join(root, path))
			code.WriteString(flat(string(b)))
			return err
		}))
	}
	for _, doc := range []string{"tutorial.md", "streaming.md", "kafka.md"} {
		for _, b := range blocks(t, doc, "go") {
			require.Contains(t, code.String(), flat(b), doc)
		}
	}
}

// What explain says in the page about streams is what a test of the example sees.
func TestStreaming_explanationIsTheExamples(t *testing.T) {
	want, err := os.ReadFile("../examples/sessions/testdata/explain.txt")
	require.NoError(t, err)
	require.Contains(t, blocks(t, "streaming.md", "text"), string(want))
}

// The Go code about tables stands, line by line, in the package's examples.
func TestTables_codeStandsInTheExamples(t *testing.T) {
	examples, err := os.ReadFile("../transforms/table/example_test.go")
	require.NoError(t, err)
	for _, b := range blocks(t, "tables.md", "go") {
		require.Contains(t, flat(string(examples)), flat(b))
	}
}

// imported is what the README's programs import, by the name that they use.
var imported = map[string]string{
	"context": "context", "json": "encoding/json", "flag": "flag", "fmt": "fmt", "strings": "strings", "time": "time",
	"text": "github.com/millrace/millrace/io/text", "pipeline": "github.com/millrace/millrace/pipeline",
	"runners": "github.com/millrace/millrace/runners", "transforms": "github.com/millrace/millrace/transforms",
	"window": "github.com/millrace/millrace/window",
}

// The README's programs compile.
func TestREADME_programsCompile(t *testing.T) {
	for _, b := range blocks(t, "../README.md", "go") {
		program := "package main\n"
		for name, path := range imported {
			if regexp.MustCompile(`\b` + name + `\.`).MatchString(b) {
				program += fmt.Sprintf("import %q\n", path)
			}
		}
		program += b
		// An overlay puts the program into the module without touching the tree.
		file := filepath.Join(t.TempDir(), "main.go")
		require.NoError(t, os.WriteFile(file, []byte(program), 0o666))
		at, err := filepath.Abs("../examples/readme/main.go")
		require.NoError(t, err)
		overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{at: file}})
		require.NoError(t, err)
		list := filepath.Join(t.TempDir(), "overlay.json")
		require.NoError(t, os.WriteFile(list, overlay, 0o666))
		cmd := exec.CommandContext(t.Context(), "go", "build", "-overlay", list, "-o", os.DevNull, "./examples/readme")
		cmd.Dir = ".."
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
}

// shape is text without its numbers.
func shape(s string) string { return regexp.MustCompile(`\d+`).ReplaceAllString(s, "0") }

// Every command of the README and the tutorials runs, but for `go test ./...`,
// which is running this. What the page about streams shows of its output looks
// like what comes.
func TestCommands_run(t *testing.T) {
	if testing.Short() {
		t.Skip("builds all the examples")
	}
	commands := append(blocks(t, "../README.md", "sh"), blocks(t, "tutorial.md", "sh")...)
	commands = append(commands, blocks(t, "streaming.md", "sh")...)
	commands = append(commands, blocks(t, "kafka.md", "sh")...)
	shown := map[string][]string{"go run ./examples/sessions -outage -explain=1s": {"WARN a window is overdue"}}
	for line := range strings.Lines(blocks(t, "streaming.md", "text")[0]) {
		if !strings.HasPrefix(line, "early") && !strings.HasPrefix(line, "late") { // which depend on the machine's speed
			first := "go run ./examples/sessions -rate 100 -duration 5s"
			shown[first] = append(shown[first], line)
		}
	}
	for _, c := range commands {
		for line := range strings.Lines(c) {
			line = strings.TrimSpace(line)
			if line == "go test ./..." {
				continue
			}
			cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
			cmd.Dir = ".."
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s\n%s", line, out)
			if !strings.Contains(line, " > ") {
				require.NotEmpty(t, out, line)
			}
			for _, want := range shown[line] {
				require.Contains(t, shape(string(out)), shape(want), line)
			}
		}
	}
}

// The picture in the tutorial is that of today's word count.
func TestTutorial_pictureIsOfToday(t *testing.T) {
	if testing.Short() {
		t.Skip("builds an example")
	}
	cmd := exec.CommandContext(t.Context(), "go", "run", "./examples/wordcount", "-graph=svg")
	cmd.Dir = ".."
	got, err := cmd.Output()
	require.NoError(t, err)
	want, err := os.ReadFile("wordcount.svg")
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "go run ./examples/wordcount -graph=svg > docs/wordcount.svg")
}

// Links between the documents lead somewhere, and the tests that they name exist.
func TestDocuments_pointAtWhatIsThere(t *testing.T) {
	tests := map[string]bool{}
	require.NoError(t, fs.WalkDir(os.DirFS(".."), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(filepath.Join("..", path))
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)`).FindAllStringSubmatch(string(b), -1) {
			tests[m[1]] = true
		}
		return err
	}))
	pages, err := filepath.Glob("*.md")
	require.NoError(t, err)
	more, err := filepath.Glob("*/*.md")
	require.NoError(t, err)
	top, err := filepath.Glob("../*.md")
	require.NoError(t, err)
	for _, page := range append(append(pages, more...), top...) {
		b, err := os.ReadFile(page)
		require.NoError(t, err)
		b = block.ReplaceAll(b, nil)
		for _, m := range regexp.MustCompile(`\]\(([^):#]+)(?:#[\w-]*)?\)`).FindAllStringSubmatch(string(b), -1) {
			_, err := os.Stat(filepath.Join(filepath.Dir(page), m[1]))
			require.NoError(t, err, "linked from %s", page)
		}
		for _, m := range regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(string(b), -1) {
			require.Contains(t, tests, m[1], "named in %s", page)
		}
	}
}
