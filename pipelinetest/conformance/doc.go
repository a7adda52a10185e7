// Package conformance holds the Beam model as cases that every runner must pass:
// windows, triggers, panes, lateness, watermarks and their holds, state, timers and
// side inputs. Each case quotes the rules of docs/semantics.md that it checks; most
// expectations were seen by running Beam's Java runner.
//
// A runner passes with one line in a test:
//
//	conformance.Run(t, func(ctx context.Context, p *pipeline.Pipeline, w conformance.Way) error { … })
//
// The cases are data, testdata/scenarios.yaml, with their format in its head.
package conformance
