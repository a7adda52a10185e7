package held

import (
	"cmp"
	"slices"

	"github.com/millrace/millrace/internal/held/plant"
)

// inbox is what has come of one source and is not applied.
type inbox struct {
	inc      Inc    // of the source, the newest that is known
	history  []Span // of the source, with inc
	released Epoch  // nothing up to here is taken in any more
	held     []*heldEpoch
}

// heldEpoch is one epoch of a source, as far as it has come.
type heldEpoch struct {
	End
	ended  bool
	sizes  [][]int // by class and frame; 0: it is missing
	came   int     // frames
	frames int     // that it has, when ended
	lanes  int     // classes that have not passed its end, when released
}

func (h *heldEpoch) complete() bool { return h.ended && h.came == h.frames }

// framesMax is how many frames an epoch has in a class, at most.
const framesMax = 1 << 16

// data takes the head of a frame. keep says that the frame is to be kept, full that its
// epoch is complete with it.
func (b *inbox) data(cfg *Config, d *Data) (keep, full bool) {
	classes := cfg.Classes()
	if int(d.Class) >= classes || d.Frame >= framesMax || d.Size < 1 {
		return false, false
	}
	if b.refuses(cfg, d.Inc) {
		return false, false
	}
	h := b.hold(classes, d.Inc, d.Epoch)
	if h == nil || h.ended && d.Frame >= h.Counts[d.Class] {
		return false, false
	}
	sizes := h.sizes[d.Class]
	for len(sizes) <= d.Frame {
		sizes = append(sizes, 0)
	}
	h.sizes[d.Class] = sizes
	if sizes[d.Frame] > 0 && !plant.Is(plant.FrameTwice) {
		return false, false
	}
	sizes[d.Frame] = d.Size
	h.came++
	return true, h.complete()
}

// end takes the end of an epoch. It reports that the epoch is here, all of it.
func (b *inbox) end(cfg *Config, m *End) bool {
	classes := cfg.Classes()
	if len(m.Counts) != classes {
		return false
	}
	if m.Epoch <= b.released {
		return true
	}
	if b.refuses(cfg, m.Inc) {
		return false
	}
	h := b.hold(classes, m.Inc, m.Epoch)
	if h == nil {
		return false
	}
	if !h.ended {
		h.End, h.ended = *m, true
		for _, n := range m.Counts {
			h.frames += n
		}
	}
	return h.complete()
}

// refuses reports that nothing more is held of incarnations that no state has told of:
// there are as many bytes of them as all windows have. It will come again; meanwhile a
// state says which of them is dead.
func (b *inbox) refuses(cfg *Config, inc Inc) bool {
	if inc <= b.inc || plant.Is(plant.AnyAheadIsHeld) {
		return false
	}
	const head = 64 // of an epoch
	n := 0
	for _, h := range b.held {
		if h.Inc <= b.inc {
			continue
		}
		n += head
		for _, sizes := range h.sizes {
			for _, size := range sizes {
				n += size
			}
		}
	}
	return n >= cfg.Classes()*cfg.Window
}

// hold is where an epoch is held; nil if it is not to be.
func (b *inbox) hold(classes int, inc Inc, e Epoch) *heldEpoch {
	if e <= b.released || inc < b.inc && owner(b.history, e) != inc {
		return nil
	}
	at, found := slices.BinarySearchFunc(b.held, Ident{Inc: inc, Epoch: e}, func(h *heldEpoch, k Ident) int {
		return cmp.Or(cmp.Compare(h.Epoch, k.Epoch), cmp.Compare(h.Inc, k.Inc))
	})
	if !found {
		h := &heldEpoch{End: End{Inc: inc, Epoch: e}, sizes: make([][]int, classes)}
		b.held = slices.Insert(b.held, at, h)
	}
	return b.held[at]
}

// know takes what is known of the source, and gives the epochs of dead incarnations,
// which are not held any more.
func (b *inbox) know(inc Inc, history []Span) (dead []*heldEpoch) {
	b.inc, b.history = inc, history
	b.held = slices.DeleteFunc(b.held, func(h *heldEpoch) bool {
		gone := h.Inc < inc && owner(history, h.Epoch) != h.Inc && !plant.Is(plant.DeadIsHeld)
		if gone {
			dead = append(dead, h)
		}
		return gone
	})
	return dead
}

// pass gives the epochs up to e, which are not held any more.
func (b *inbox) pass(e Epoch) (old []*heldEpoch) {
	b.released = max(b.released, e)
	n := 0
	for n < len(b.held) && b.held[n].Epoch <= e {
		n++
	}
	old = slices.Clone(b.held[:n])
	b.held = slices.Delete(b.held, 0, n)
	return old
}

// have is the last epoch of the source that is held or released with all before it.
func (b *inbox) have() Epoch {
	e := b.released
	for again := true; again; {
		again = false
		for _, h := range b.held {
			if h.complete() && h.Epoch > e && h.Prev <= e && owner(b.history, h.Epoch) == h.Inc {
				e, again = h.Epoch, true
			}
		}
	}
	return e
}
