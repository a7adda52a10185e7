package upgrade

import (
	"cmp"
	"strings"
)

// windowing is a window.Strategy, from its text.
type windowing struct {
	fn, trigger, accumulation, lateness, timestamps, onTime, closing string // "" is the default
}

// parseWindowing cuts the text at what may follow the windows, in its order.
func parseWindowing(s string) (w windowing) {
	marks := []struct {
		mark string
		to   *string
	}{
		{" closing=", &w.closing}, {" on_time=", &w.onTime}, {" timestamps=", &w.timestamps},
		{" lateness=", &w.lateness}, {" accumulating", &w.accumulation}, {" trigger=", &w.trigger},
	}
	for _, m := range marks {
		if i := strings.LastIndex(s, m.mark); i >= 0 && i > strings.LastIndexByte(s, '"') {
			*m.to, s = cmp.Or(s[i+len(m.mark):], "accumulating"), s[:i]
		}
	}
	w.fn = s
	return w
}
