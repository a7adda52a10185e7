package commit

import "github.com/millrace/millrace/internal/keygroup"

// Replace makes rows and a record the newest epoch of dst, in place of all that it
// holds. The rows are of so many lanes; each calls its argument with every one, and
// may read them from dst. After an error dst is as it was.
func Replace(dst Store, rec Record, lanes int, each func(put func(Row) error) error) error {
	e := dst.Begin(lanes)
	e.Whole()
	writers := make([]LaneWriter, lanes)
	nodes := make([]string, lanes) // that each writer was told last
	for i := range writers {
		writers[i] = e.Lane(i)
	}
	err := each(func(r Row) error {
		lane := r.Lane
		if r.Group >= 0 {
			lane = r.Group * lanes / keygroup.N
		}
		if nodes[lane] != r.Node {
			nodes[lane] = r.Node
			writers[lane].Node(r.Node)
		}
		writers[lane].Put(r.Group, r.Key, r.Val)
		return nil
	})
	if err != nil {
		e.Discard()
		return err
	}
	return e.Commit(&rec)
}
