package flow

import (
	"reflect"
	"unsafe"

	"github.com/millrace/millrace/coder"
)

// keyIn is a receiver of a keyed collection that a KeyBy in front of it can be
// part of: one call less for each element, which for a value of four words is
// 2 ns. by makes the receiver of the values, for a KeyBy that is node id.
type keyIn[K comparable, V any] struct {
	one Recv[coder.KV[K, V]]
	by  func(key func(V) K, id int) Recv[V]
}

func (k *keyIn[K, V]) elementwise() Recv[coder.KV[K, V]] { return k.one }

// isWord reports that keys are 64 bits and hashed as such.
func isWord[K comparable]() bool {
	switch t := reflect.TypeFor[K](); t.Kind() {
	case reflect.Int64, reflect.Uint64:
		return true
	case reflect.Int, reflect.Uint:
		return t.Size() == 8
	}
	return false
}

// hashWord is the Hasher's sum of a key that isWord. It is spelled out: a plain
// function of another package is not inlined into generic code that a third one
// instantiates, which is where all of this ends up.
func hashWord[K comparable](k *K) uint64 {
	z := *(*uint64)(unsafe.Pointer(k))
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// groupShift leaves the bits of a hash that keygroup.Group takes.
const groupShift = 64 - 10

// home is the row that k's hash points at, and whether k is there: most keys of
// a table that is not full are.
func (d *Dir[K]) home(k K, h uint64) (row uint32, is bool) {
	i := h & uint64(len(d.ctrl)-1)
	return uint32(i), d.ctrl[i]&^dirty == used|uint8(h>>40)&63 && d.Keys[i] == k
}
