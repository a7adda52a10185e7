package conformance

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/pipeline"
)

// program adds the stateful transform whose elements are lists of commands.
func (b *builder) program(c pipeline.Keyed[string, string], _ map[string]string, name string) pipeline.Keyed[string, string] {
	return pipeline.FromPairs(pipeline.Stateful(c, name, func(s *pipeline.Setup[string, kv]) pipeline.Process[string, string, kv] {
		bag := pipeline.BagState[string](s, "bag")
		return func(c *pipeline.Ctx[string], v string, emit pipeline.Emit[kv]) error {
			for cmd := range strings.SplitSeq(v, ";") {
				switch op, arg, _ := strings.Cut(cmd, ":"); {
				case strings.HasPrefix(cmd, "bag+"):
					bag.Add(c, strings.TrimPrefix(cmd, "bag+"))
				case cmd == "read":
					emit(pipeline.NewKV(c.Key(), "bag"+list(slices.Values(bag.Get(c)))))
				case cmd == "clearbag":
					bag.Clear(c)
				case op == "emit":
					emit(pipeline.NewKV(c.Key(), arg))
				default:
					return fmt.Errorf("no such command: %q", cmd)
				}
			}
			return nil
		}
	}))
}
