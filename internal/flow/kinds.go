package flow

import "reflect"

// plain reports that a copy of a value of t shares nothing that can change.
func plain(t reflect.Type) bool {
	return consistsOf(t, func(k reflect.Kind) bool { return scalar(k) || k == reflect.String })
}

// pointsAt reports that values of t point at memory of their own.
func pointsAt(t reflect.Type) bool { return !consistsOf(t, scalar) }

func scalar(k reflect.Kind) bool { return k > reflect.Invalid && k <= reflect.Complex128 }

// consistsOf reports that all of which values of t are made of is of such a kind.
func consistsOf(t reflect.Type, is func(reflect.Kind) bool) bool {
	switch t.Kind() {
	case reflect.Struct:
		for f := range t.Fields() {
			if !consistsOf(f.Type, is) {
				return false
			}
		}
		return true
	case reflect.Array:
		return consistsOf(t.Elem(), is)
	default:
		return is(t.Kind())
	}
}
