// Package draw draws pipelines: Graphviz, Mermaid and SVG.
package draw

import (
	"fmt"
	"html"
	"io"
	"strings"

	"github.com/millrace/millrace/internal/graph"
)

// Formats are the names that [Write] knows.
var Formats = []string{"dot", "mermaid", "svg"}

// Write draws g in the format of that name.
func Write(w io.Writer, g *graph.Graph, format string) error {
	var text string
	switch format {
	case "dot":
		text = dot(g)
	case "mermaid":
		text = mermaid(g)
	case "svg":
		text = svg(g)
	default:
		return fmt.Errorf("graph format %q: want one of %s", format, strings.Join(Formats, ", "))
	}
	_, err := io.WriteString(w, text)
	return err
}

// label is what stands in a node's box: its name, what it was replaced by, and what it
// gives.
func label(n *graph.Node) (name, types string) {
	var ts []string
	for _, t := range n.Out {
		ts = append(ts, shortType(t.String()))
	}
	name = n.Name
	if n.Replaced != "" {
		name += " = " + n.Replaced
	}
	return name, strings.Join(ts, ", ")
}

// shortType drops package paths: they make boxes too wide to read.
func shortType(s string) string {
	var b strings.Builder
	start := 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && (s[i] == '/' || s[i] == '.' || s[i] == '_' || s[i] == '-' || '0' <= s[i] && s[i] <= '9' || 'a' <= s[i] && s[i] <= 'z' || 'A' <= s[i] && s[i] <= 'Z') {
			continue
		}
		word := s[start:i]
		b.WriteString(word[strings.LastIndexAny(word, "/.")+1:])
		if i < len(s) {
			b.WriteByte(s[i])
		}
		start = i + 1
	}
	return b.String()
}

// edgeLabel says how elements travel, where they don't just go on.
func edgeLabel(in graph.In) string {
	switch {
	case in.Signal:
		return "when complete"
	case in.Kind == graph.Forward:
		return ""
	}
	return in.Kind.String()
}

func dot(g *graph.Graph) string {
	var b strings.Builder
	b.WriteString("digraph pipeline {\n\trankdir=TB;\n\tnode [shape=box, style=rounded, fontname=\"sans-serif\"];\n\tedge [fontname=\"sans-serif\", fontsize=10];\n")
	for _, n := range g.Nodes {
		name, types := label(n)
		fmt.Fprintf(&b, "\tn%d [label=%q, tooltip=%q];\n", n.ID, strings.TrimSpace(name+"\n"+types), n.Pos)
		for _, in := range n.In {
			attr := ""
			if l := edgeLabel(in); l != "" {
				attr = fmt.Sprintf(" [label=%q, style=%s]", l, map[bool]string{true: "dashed", false: "bold"}[in.Signal])
			}
			fmt.Fprintf(&b, "\tn%d -> n%d%s;\n", in.Node.ID, n.ID, attr)
		}
	}
	b.WriteString("}\n")
	return b.String()
}

func mermaid(g *graph.Graph) string {
	var b strings.Builder
	b.WriteString("flowchart TD\n")
	for _, n := range g.Nodes {
		name, types := label(n)
		text := html.EscapeString(name)
		if types != "" {
			text += "<br/><i>" + html.EscapeString(types) + "</i>"
		}
		fmt.Fprintf(&b, "    n%d[\"%s\"]\n", n.ID, text)
		for _, in := range n.In {
			switch l := edgeLabel(in); {
			case l == "":
				fmt.Fprintf(&b, "    n%d --> n%d\n", in.Node.ID, n.ID)
			case in.Signal:
				fmt.Fprintf(&b, "    n%d -. %s .-> n%d\n", in.Node.ID, l, n.ID)
			default:
				fmt.Fprintf(&b, "    n%d == %s ==> n%d\n", in.Node.ID, l, n.ID)
			}
		}
	}
	return b.String()
}
