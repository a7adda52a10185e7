package local

import (
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/terminal"
)

// Line is one line about the run after elapsed: elements, rate, stages done, and
// the time left where the sources know how much there is.
func (o *Observer) Line(elapsed time.Duration) string {
	p := o.o.Progress()
	return fmt.Sprintf("%s, stages %d/%d done%s", terminal.Elements(p.Elements, elapsed), p.StagesDone, p.Stages, terminal.Left(p.Read, p.Total, elapsed))
}
