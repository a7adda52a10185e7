package natsbus

import (
	"fmt"
	"log/slog"
	"net/url"
	"sync/atomic"
)

// serverLog is the server's logger. What a server says about itself while all is well
// is for debugging here.
type serverLog struct {
	log   *slog.Logger
	fatal atomic.Pointer[string]
}

func (l *serverLog) Noticef(format string, v ...any) { l.log.Debug(line(format, v)) }
func (l *serverLog) Warnf(format string, v ...any)   { l.log.Warn(line(format, v)) }
func (l *serverLog) Errorf(format string, v ...any)  { l.log.Error(line(format, v)) }

// Fatalf doesn't end the process, as the server's own logger does.
func (l *serverLog) Fatalf(format string, v ...any) {
	why := fmt.Sprintf(format, v...)
	l.fatal.CompareAndSwap(nil, &why)
	l.log.Error("nats: " + why)
}

func (l *serverLog) Debugf(string, ...any) {}
func (l *serverLog) Tracef(string, ...any) {}

func line(format string, v []any) string {
	for i := range v {
		if u, ok := v[i].(*url.URL); ok {
			v[i] = u.Redacted() // routes have secrets
		}
	}
	return "nats: " + fmt.Sprintf(format, v...)
}
