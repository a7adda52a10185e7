package kafka

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestRecycled(t *testing.T) {
	r := recycled{most: 100}
	assert.Nil(t, r.get())
	r.put(make([]byte, 3, 60))
	r.put(make([]byte, 3, 50)) // more than may lie here
	r.put(make([]byte, 3, 40))
	assert.Equal(t, 100, r.bytes)
	b := r.get()
	assert.Empty(t, b)
	assert.Equal(t, 40, cap(b), "the newest, which is in the processor's cache")
	assert.Equal(t, 60, cap(r.get()))
	assert.Nil(t, r.get())
	assert.Zero(t, r.bytes)
}
