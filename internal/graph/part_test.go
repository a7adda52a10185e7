package graph

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPart_comesBackAsItWas(t *testing.T) {
	for want, p := range map[string]Part{
		"value seen beam:coder:varint:v1":                   {Kind: PartValue, Name: "seen", Coder: "beam:coder:varint:v1"},
		"bag l beam:coder:row:v1{A int16, B string?} ttl":   {Kind: PartBag, Name: "l", Coder: "beam:coder:row:v1{A int16, B string?}", Options: []string{OptionTTL}},
		`value "left ttl" beam:coder:row:v1{"a ttl" int16}`: {Kind: PartValue, Name: "left ttl", Coder: `beam:coder:row:v1{"a ttl" int16}`},
		"event-timer due": {Kind: PartEventTimer, Name: "due"},
		`event-timer ""`:  {Kind: PartEventTimer},
		"paned values beam:coder:bytes:v1 words=2":     {Kind: PartPaned, Name: "values", Coder: "beam:coder:bytes:v1", Options: []string{WithNumber(OptionWords, 2)}},
		"waiting elements beam:coder:bytes:v1 sides=3": {Kind: PartWaiting, Name: "elements", Coder: "beam:coder:bytes:v1", Options: []string{"sides=3"}},
		"writer state": {Kind: PartWriter, Name: "state"},
		"value x beam:coder:row:v1{A int64} event-ttl":              {Kind: PartValue, Name: "x", Coder: "beam:coder:row:v1{A int64}", Options: []string{OptionEventTTL}},
		"map m millrace:coder:map:v1<beam:coder:bool:v1,a:b:c> ttl": {Kind: PartMap, Name: "m", Coder: "millrace:coder:map:v1<beam:coder:bool:v1,a:b:c>", Options: []string{OptionTTL}},
	} {
		assert.Equal(t, want, p.String())
		got, err := ParsePart(want)
		require.NoError(t, err)
		assert.Equal(t, p, got)
	}
	for _, s := range []string{"", "value", "value ", `value "x`, " value"} {
		_, err := ParsePart(s)
		assert.Error(t, err, s)
	}
	p, _ := ParsePart("paned values beam:coder:bytes:v1 words=2")
	n, ok := p.Number(OptionWords)
	assert.True(t, ok)
	assert.Equal(t, 2, n)
	_, ok = p.Number(OptionSides)
	assert.False(t, ok)
	assert.False(t, p.Has(OptionTTL))
}
