// Package connector is the conformance suite of connectors: what a source or a
// sink owes to a run, checked against the connector itself and by whole pipelines.
//
//	func TestRead_conformance(t *testing.T) {
//		path := writeLines(t, "a", "b", "c")
//		connector.TestSource(t, connector.Source[string]{
//			Read: func(p *pipeline.Pipeline) pipeline.PCollection[string] { return text.Read(p, path) },
//			Want: []string{"a", "b", "c"},
//		})
//	}
//
// The contract is in the comments of pipeline.Source and pipeline.Sink; a check
// that fails says which sentence of it is broken. Checks count goroutines and open
// files: don't run them side by side with other tests.
package connector
