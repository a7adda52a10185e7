package archtest

import (
	"fmt"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// pkg is a package of the module as its files say.
type pkg struct {
	dir     string   // slash-separated, relative to the module's root; "." is the root itself
	name    string   // of the package clause
	doc     string   // the package comment; empty where no file has one
	imports []string // of the files that are no tests, sorted, each once
	newer   []source // files that only a newer Go than go.mod's compiles
	tests   bool     // nothing but test files
}

// source is a file with its text.
type source struct{ path, text string }

// load reads all packages below the root of a module. Folders that the go
// command passes over, and other modules below the root, are passed over.
func load(fsys fs.FS) ([]*pkg, error) {
	byDir := map[string]*pkg{}
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return enter(fsys, p)
		case path.Ext(p) != ".go":
			return nil
		}
		dir := path.Dir(p)
		if byDir[dir] == nil {
			byDir[dir] = &pkg{dir: dir, tests: true}
		}
		return byDir[dir].add(fsys, p)
	})
	if err != nil {
		return nil, err
	}
	var pkgs []*pkg
	for _, p := range byDir {
		slices.Sort(p.imports)
		p.imports = slices.Compact(p.imports)
		pkgs = append(pkgs, p)
	}
	slices.SortFunc(pkgs, func(a, b *pkg) int { return strings.Compare(a.dir, b.dir) })
	return pkgs, nil
}

// enter says by fs.SkipDir that nothing in dir belongs to this module.
func enter(fsys fs.FS, dir string) error {
	if dir == "." {
		return nil
	}
	base := path.Base(dir)
	if base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return fs.SkipDir
	}
	if _, err := fs.Stat(fsys, path.Join(dir, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

// add reads one file. Imports of test files don't count: tests may look at
// anything that does not import them.
func (p *pkg) add(fsys fs.FS, name string) error {
	if strings.HasSuffix(name, "_test.go") {
		return nil
	}
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return fmt.Errorf("parse imports: %w", err)
	}
	p.tests = false
	p.name = f.Name.Name
	if f.Doc != nil && p.doc == "" {
		p.doc = f.Doc.Text()
	}
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return fmt.Errorf("%s: import %s: %w", name, spec.Path.Value, err)
		}
		p.imports = append(p.imports, imported)
	}
	if needsNewerGo(string(text)) {
		p.newer = append(p.newer, source{name, string(text)})
	}
	return nil
}

// needsNewerGo reports a build constraint that holds for a newer Go and not for
// that of go.mod, whatever else it asks for.
func needsNewerGo(text string) bool {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "package ") {
			return false
		}
		expr, err := constraint.Parse(strings.TrimSpace(line))
		if err != nil {
			continue // no constraint
		}
		for _, others := range []bool{false, true} {
			holds := func(newer bool) bool {
				return expr.Eval(func(tag string) bool {
					release, isRelease := strings.CutPrefix(tag, "go1.")
					if !isRelease {
						return others
					}
					n, err := strconv.Atoi(release)
					return err == nil && (n <= goOfModule || newer)
				})
			}
			if holds(true) && !holds(false) {
				return true
			}
		}
	}
	return false
}

// goOfModule is the minor version of the go line in go.mod: Go 1.26.
const goOfModule = 26
