package runners

import (
	"errors"
	"fmt"
	"strings"

	"github.com/millrace/millrace/internal/runner"
	"github.com/millrace/millrace/internal/upgrade"
	"github.com/millrace/millrace/pipeline"
)

// plan says what would become of the state if the program ran with it. It touches nothing.
func plan(c *call) error {
	ref, err := c.reference(noMore)
	if err != nil {
		return err
	}
	if err := c.wants(0, 0); err != nil {
		return err
	}
	p := pipeline.New()
	c.build(p)
	if err := p.Err(); err != nil {
		return fmt.Errorf("the pipeline can't be run:\n%s", indent(err))
	}
	if err := c.instead.apply(p.Graph(), c.out); err != nil {
		return err
	}
	s, err := c.open(ref)
	if ref == "" && c.job.From != "" && errors.Is(err, runner.ErrNoState) {
		s, err = c.open(c.job.From) // as the run would
	}
	if err != nil {
		return err
	}
	defer s.Close()
	allowed := map[string]bool{}
	for _, name := range c.job.AllowDropped {
		allowed[strings.TrimSpace(name)] = true
	}
	result, err := upgrade.Check(s, upgrade.ManifestOf(p.Graph()), upgrade.Options{AllowDropped: allowed, Renamed: c.job.Renamed})
	if err != nil {
		return err
	}
	fmt.Fprint(c.out, result)
	if err := result.Err(); err != nil {
		return fmt.Errorf("the program would not start with the state in %s:\n%s", s.where, indent(err))
	}
	return nil
}
