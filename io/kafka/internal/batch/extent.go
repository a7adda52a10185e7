package batch

// Extent is what the batches of a fetch cover, by their headers alone: so that the
// next fetch can be sent while these are still to be read. Nothing is checked but
// lengths; a Reader sees what is wrong.
type Extent struct {
	Next  int64 // the offset behind the last whole batch; -1 if there is none
	Epoch int32 // leader epoch of that batch; -1 if there is none
	Need  int   // as Reader.Need
}

// ExtentOf walks the headers in raw.
func ExtentOf(raw []byte) Extent {
	e := Extent{Next: -1, Epoch: -1}
	for len(raw) > 0 {
		h := header(raw)
		if len(h) < HeaderSize || h.size() > int64(len(h)) {
			if e.Next < 0 {
				e.Need = HeaderSize
			}
			if e.Next < 0 && len(h) >= beforeLength {
				e.Need = int(h.size())
			}
			return e
		}
		if h.length() < minimumLength || h[atMagic] != 2 {
			e.Next = max(e.Next, h.base()+1) // what a Reader stops at
			return e
		}
		e.Next, e.Epoch = max(e.Next, h.lastOffset()+1), h.epoch()
		raw = raw[h.size():]
	}
	return e
}
