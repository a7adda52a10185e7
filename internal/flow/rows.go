package flow

import "github.com/millrace/millrace/coder"

// rows is the scratch space in which a lane looks up the keys of a whole batch.
type rows struct {
	hash  []uint64
	row   []uint32
	fresh []int // the elements of the batch whose rows were made
	sink  uint8 // keeps the touching loads alive
}

// bigTable is how many slots a table has when it outgrows the cache, so that
// touching pays.
const bigTable = 1 << 15

// rowsOf finds or makes the rows of a batch's keys. The passes are apart so that
// cache misses overlap: hashes first, then a load of every slot that will be
// needed, then the look-ups proper, which find their lines there, then a load of
// the columns where the rows are. At a million keys this halves the time.
func rowsOf[K comparable, V any](d *Dir[K], vals []coder.KV[K, V], s *rows) []uint32 {
	if cap(s.row) < len(vals) {
		s.row = make([]uint32, len(vals))
	}
	if cap(s.hash) < len(vals) {
		s.hash = make([]uint64, len(vals))
	}
	hash, row := s.hash[:len(vals)], s.row[:len(vals)]
	if isWord[K]() {
		for i := range vals {
			hash[i] = hashWord(&vals[i].Key)
		}
	} else {
		for i := range vals {
			hash[i] = d.hash.Sum(vals[i].Key)
		}
	}
	if len(d.ctrl) >= bigTable {
		s.sink += d.touch(hash)
	}
	s.fresh = s.fresh[:0]
	for moves := -1; moves != d.moves; { // again if rows have moved meanwhile
		moves = d.moves
		for i := range vals {
			r, is := d.home(vals[i].Key, hash[i])
			if !is {
				n := d.n
				if r = d.rowHashed(vals[i].Key, hash[i]); d.n != n {
					s.fresh = append(s.fresh, i)
				}
			}
			row[i] = r
		}
	}
	if len(d.ctrl) >= bigTable && len(d.cols) > 0 {
		for i, r := range row {
			hash[i] = uint64(r)
		}
		for _, c := range d.cols {
			s.sink += c.touch(hash, uint64(len(d.ctrl)-1))
		}
	}
	return row
}

// touch loads the slots of hashes: control byte and key.
func (d *Dir[K]) touch(hash []uint64) (sum uint8) {
	mask := uint64(len(d.ctrl) - 1)
	for _, h := range hash {
		i := h & mask
		sum += d.ctrl[i] + firstByte(&d.Keys[i])
	}
	return sum
}

// all is every row, in the space of *buf. It costs no branch for each slot:
// whether one is free can't be predicted.
func (d *Dir[K]) all(buf *[]uint32) []uint32 {
	if cap(*buf) < d.n+1 {
		*buf = make([]uint32, len(d.ctrl))
	}
	rows, n := (*buf)[:cap(*buf)], 0
	for i, s := range d.ctrl {
		rows[n] = uint32(i)
		n += int(s >> 7)
	}
	return rows[:n]
}
