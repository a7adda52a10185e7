package archtest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// check gives a sentence for everything in the tree that breaks a rule; none
// means that all is well.
func check(pkgs []*pkg) []string {
	var problems []string
	for _, p := range pkgs {
		if p.tests {
			continue
		}
		problems = append(problems, checkComment(p)...)
		problems = append(problems, checkImports(p)...)
		problems = append(problems, checkLibraries(p)...)
		for _, f := range p.newer {
			problems = append(problems, checkTwins(f)...)
		}
	}
	return append(problems, checkLean(pkgs)...)
}

func checkComment(p *pkg) []string {
	switch {
	case p.doc == "":
		return []string{p.dir + " has no package comment"}
	case p.name != "main" && !strings.HasPrefix(p.doc, "Package "+p.name+" "):
		return []string{fmt.Sprintf("%s: the package comment does not begin with %q", p.dir, "Package "+p.name)}
	}
	return nil
}

// checkImports holds the package to rows and bans.
func checkImports(p *pkg) (problems []string) {
	from, entry := rowOf(p.dir)
	if from < 0 {
		return []string{p.dir + " is in no row: enter it in internal/archtest/rows.go"}
	}
	for _, imported := range p.imports {
		dir, ours := strings.CutPrefix(imported, module+"/")
		if !ours {
			continue
		}
		to, toEntry := rowOf(dir)
		sameTree := entry == toEntry && strings.HasSuffix(entry, "/...")
		switch why := banned(p.dir, dir); {
		case why != "":
			problems = append(problems, fmt.Sprintf("%s imports %s: %s", p.dir, dir, why))
		case to >= from && !sameTree:
			problems = append(problems, fmt.Sprintf("%s (row %s) imports %s (row %s), which is not below it", p.dir, rows[from].name, dir, rows[to].name))
		}
	}
	return problems
}

// rowOf is the index of dir's row and the entry that has it; -1 where none does.
func rowOf(dir string) (index int, entry string) {
	for i, r := range rows {
		for _, e := range r.packages {
			if within(dir, e) {
				return i, e
			}
		}
	}
	return -1, ""
}

func banned(from, to string) string {
	for _, b := range bans {
		if within(from, b.from) && within(to, b.to) {
			return b.why
		}
	}
	return ""
}

func checkLibraries(p *pkg) (problems []string) {
	for _, imported := range p.imports {
		for _, l := range libraries {
			used := imported == l.prefix || strings.HasPrefix(imported, strings.TrimSuffix(l.prefix, "/")+"/")
			if used && !slices.ContainsFunc(l.users, func(user string) bool { return within(p.dir, user) }) {
				problems = append(problems, fmt.Sprintf("%s imports %s, which is for %s only", p.dir, imported, strings.Join(l.users, ", ")))
			}
		}
	}
	return problems
}

// within reports that dir is entry, or in the tree that entry names.
func within(dir, entry string) bool {
	tree, isTree := strings.CutSuffix(entry, "/...")
	return dir == tree || isTree && strings.HasPrefix(dir, tree+"/")
}

// checkLean follows imports within the module from each lean root.
func checkLean(pkgs []*pkg) (problems []string) {
	byDir := map[string]*pkg{}
	for _, p := range pkgs {
		byDir[p.dir] = p
	}
	for _, root := range leanRoots {
		seen := map[string]bool{}
		var visit func(dir, way string)
		visit = func(dir, way string) {
			p := byDir[dir]
			if p == nil || seen[dir] {
				return
			}
			seen[dir] = true
			for _, imported := range p.imports {
				if next, ours := strings.CutPrefix(imported, module+"/"); ours {
					visit(next, way+" > "+next)
				}
				if slices.ContainsFunc(heavy, func(h string) bool { return strings.HasPrefix(imported, h) }) {
					problems = append(problems, fmt.Sprintf("%s > %s: every program would link it", way, imported))
				}
			}
		}
		visit(root, root)
	}
	return problems
}

var (
	declaration = regexp.MustCompile(`^(func|type|var|const)\b`)
	method      = regexp.MustCompile(`^func \((\w+) [^)]*\) \w+.* \{$`)
	delegation  = regexp.MustCompile(`^\treturn \w+\((\w+)[,)]`)
)

// checkTwins holds a file that needs a newer Go to method twins: methods whose
// whole body hands the receiver and the arguments to a function that every
// supported Go has. It looks at lines, since an older parser cannot read the file.
func checkTwins(f source) (problems []string) {
	lines := strings.Split(f.text, "\n")
	for i, line := range lines {
		if !declaration.MatchString(line) {
			continue
		}
		m := method.FindStringSubmatch(line)
		if m == nil || i+2 >= len(lines) {
			problems = append(problems, fmt.Sprintf("%s:%d: only method twins may need a newer Go than go.mod's: %s", f.path, i+1, line))
			continue
		}
		if d := delegation.FindStringSubmatch(lines[i+1]); d == nil || d[1] != m[1] || lines[i+2] != "}" {
			problems = append(problems, fmt.Sprintf("%s:%d: a method twin does nothing but return a function of its receiver: %s", f.path, i+1, line))
		}
	}
	return problems
}
