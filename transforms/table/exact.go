package table

import (
	"math"
	"math/big"
)

// Exact is a sum of floats without rounding: taking out what was put in leaves what
// was there before, bit for bit. The zero value is an empty sum.
//
// Source: Shewchuk, "Adaptive Precision Floating-Point Arithmetic and Fast Robust
// Geometric Predicates", 1997 (expansions that do not overlap).
type Exact struct {
	// Parts has the sum as its exact sum, least first: no two of them have bits of
	// the same weight. There are as many as the values' magnitudes are apart: seldom
	// more than three.
	Parts []float64
	Over  int64 // further 2^1023s, where a sum was too large for a float

	Inf, NegInf, NaN int64 // how many of these were put in
}

// Add puts x in.
func (e *Exact) Add(x float64) { e.put(x, 1) }

// Sub takes x out.
func (e *Exact) Sub(x float64) { e.put(-x, -1) }

// put adds x, of which n is the count if it is not finite.
func (e *Exact) put(x float64, n int64) {
	switch {
	case math.IsNaN(x):
		e.NaN += n
	case math.IsInf(x, int(n)):
		e.Inf += n
	case math.IsInf(x, 0):
		e.NegInf += n
	default:
		e.add(x)
	}
}

// huge is the unit of Over.
const huge = 0x1p1023

func (e *Exact) add(x float64) {
	kept := e.Parts[:0]
	for _, y := range e.Parts {
		if math.Abs(x) < math.Abs(y) {
			x, y = y, x
		}
		for math.IsInf(x+y, 0) { // then x is at least huge, and what is left of it is exact
			e.Over += int64(math.Copysign(1, x))
			if x -= math.Copysign(huge, x); math.Abs(x) < math.Abs(y) {
				x, y = y, x
			}
		}
		sum := x + y
		if low := y - (sum - x); low != 0 {
			kept = append(kept, low)
		}
		x = sum
	}
	if x != 0 {
		kept = append(kept, x)
	}
	e.Parts = kept
	if n := len(kept); n > 0 && e.Over != 0 && (kept[n-1] < 0) == (e.Over > 0) { // they cancel
		unit := math.Copysign(1, float64(e.Over))
		e.Over -= int64(unit)
		e.add(unit * huge)
	}
}

// Value is the sum, rounded to the nearest float.
func (e Exact) Value() float64 {
	switch {
	case e.NaN > 0 || e.Inf > 0 && e.NegInf > 0:
		return math.NaN()
	case e.Inf > 0:
		return math.Inf(1)
	case e.NegInf > 0:
		return math.Inf(-1)
	}
	if e.Over == 0 {
		switch p := e.Parts; len(p) {
		case 0:
			return 0
		case 1:
			return p[0]
		case 2:
			return p[0] + p[1] // the machine rounds the exact sum of two
		}
	}
	// 2,098 bits hold any float exactly, the rest is for the sum's carries.
	sum := new(big.Float).SetPrec(2200).SetInt64(e.Over)
	sum.SetMantExp(sum, 1023)
	for _, p := range e.Parts {
		sum.Add(sum, big.NewFloat(p))
	}
	v, _ := sum.Float64()
	return v
}
