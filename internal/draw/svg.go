package draw

import (
	"cmp"
	"fmt"
	"html"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/graph"
)

const (
	charWidth = 7.2 // of the 12 px sans-serif used, on average
	boxHeight = 40
	gapX      = 28
	gapY      = 46
	margin    = 16
)

// box is a node's place.
type box struct {
	n    *graph.Node
	x, w float64 // left edge, width
	rank int
}

func (b *box) centre() float64 { return b.x + b.w/2 }
func (b *box) top() float64    { return margin + float64(b.rank)*(boxHeight+gapY) }

// layout puts each node one row below its lowest input, and orders a row by
// where the inputs stand: enough for the graphs people write.
func layout(g *graph.Graph) (boxes []*box, width, height float64) {
	var rows [][]*box
	for _, n := range g.Nodes {
		b := &box{n: n}
		for _, in := range n.In {
			b.rank = max(b.rank, boxes[in.Node.ID].rank+1)
		}
		name, types := label(n)
		b.w = max(float64(max(len([]rune(name)), len([]rune(types))))*charWidth+24, 80)
		boxes = append(boxes, b)
		for len(rows) <= b.rank {
			rows = append(rows, nil)
		}
		rows[b.rank] = append(rows[b.rank], b)
	}
	for _, row := range rows {
		wanted := map[*box]float64{}
		for i, b := range row {
			if len(b.n.In) == 0 {
				wanted[b] = float64(i)
				continue
			}
			for _, in := range b.n.In {
				wanted[b] += boxes[in.Node.ID].centre() / float64(len(b.n.In))
			}
		}
		slices.SortStableFunc(row, func(a, b *box) int { return cmp.Compare(wanted[a], wanted[b]) })
		left := float64(margin)
		for _, b := range row {
			b.x = left
			if len(b.n.In) > 0 {
				b.x = max(left, wanted[b]-b.w/2)
			}
			left = b.x + b.w + gapX
		}
		width = max(width, left-gapX+margin)
	}
	return boxes, width, margin*2 + float64(len(rows))*(boxHeight+gapY) - gapY
}

func svg(g *graph.Graph) string {
	boxes, width, height := layout(g)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" font-family="sans-serif" font-size="12">
<style>
.node rect { fill: #eef4fb; stroke: #3d6ea5; rx: 8px }
.state rect { fill: #fdf3e1; stroke: #b07a1e }
.root rect { fill: #e8f6ea; stroke: #3b8a4a }
.type { fill: #666; font-style: italic }
.edge { fill: none; stroke: #777 }
.shuffle { stroke: #b03a2e; stroke-width: 2 }
.signal { stroke-dasharray: 4 3 }
.how { fill: #b03a2e; font-size: 10px }
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#777"/></marker></defs>
`, width, height, width, height)
	for _, to := range boxes {
		for _, in := range to.n.In {
			from := boxes[in.Node.ID]
			x1, y1, x2, y2 := from.centre(), from.top()+boxHeight, to.centre(), to.top()
			class := "edge"
			if in.Kind != graph.Forward && !in.Signal {
				class += " shuffle"
			}
			if in.Signal {
				class += " signal"
			}
			fmt.Fprintf(&b, `<path class="%s" marker-end="url(#tip)" d="M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f"/>`+"\n", class, x1, y1, x1, y1+gapY/2, x2, y2-gapY/2, x2, y2)
			if l := edgeLabel(in); l != "" {
				fmt.Fprintf(&b, `<text class="how" x="%.1f" y="%.1f">%s</text>`+"\n", x2+6, y2-8, html.EscapeString(l))
			}
		}
	}
	for _, x := range boxes {
		class := "node"
		switch {
		case x.n.Src != nil:
			class += " root"
		case x.n.Stateful:
			class += " state"
		}
		name, types := label(x.n)
		y := x.top()
		fmt.Fprintf(&b, `<g class="%s"><title>%s</title><rect x="%.1f" y="%.1f" width="%.1f" height="%d"/>`, class, html.EscapeString(x.n.Pos), x.x, y, x.w, boxHeight)
		if types == "" {
			fmt.Fprintf(&b, `<text text-anchor="middle" x="%.1f" y="%.1f">%s</text></g>`+"\n", x.centre(), y+24, html.EscapeString(name))
			continue
		}
		fmt.Fprintf(&b, `<text text-anchor="middle" x="%.1f" y="%.1f">%s</text><text class="type" text-anchor="middle" x="%.1f" y="%.1f">%s</text></g>`+"\n",
			x.centre(), y+17, html.EscapeString(name), x.centre(), y+32, html.EscapeString(types))
	}
	b.WriteString("</svg>\n")
	return b.String()
}
