// Package archtest keeps the architecture: which package may import which, who
// alone may use a library, and that every package says what it is for. Its test
// reads the tree itself, so that a cached result is never about an older tree.
package archtest

// module is the path that all packages of this module begin with.
const module = "github.com/millrace/millrace"

// row is a set of packages of one height. A package imports only packages of
// lower rows. An entry that ends in "/..." is a tree: the folder and all below
// it, which may import each other.
type row struct {
	name     string
	packages []string
}

// rows is the table of ARCHITECTURE.md, lowest first. A new package has to be
// entered here; think about the row before the import.
var rows = []row{
	{"1: values", []string{"coder", "internal/keygroup", "internal/invariant", "internal/commit/plant", "internal/held/plant"}},
	{"1a: processes, terminals, locks, metrics, tasks, clocks, pages", []string{"internal/spawn", "internal/terminal", "internal/filelock", "internal/metrics", "internal/tasks", "internal/alarm", "internal/hugepages"}},
	{"2: event time", []string{"window"}},
	{"3: contracts", []string{"internal/graph", "internal/commit", "internal/held", "internal/frame"}},
	{"3a: where epochs are kept", []string{"internal/statelog", "internal/statepebble", "internal/upgrade", "internal/savefile"}},
	{"3b: simulation", []string{"internal/commit/sim", "internal/held/sim"}},
	{"4: operators, engine, wire", []string{"internal/flow", "internal/engine", "internal/natsbus", "internal/draw"}},
	{"4a: a slot of a job", []string{"internal/host"}},
	{"5: building", []string{"pipeline", "io/filesystem"}},
	{"6a: what runners share, and what connectors share", []string{"internal/runner", "internal/listen", "internal/control", "internal/cluster", "internal/csvrecord", "io/text", "savepoint"}},
	{"6: runners, transforms, connectors", []string{
		"runners/local", "runners/distributed", "runners/beam",
		"transforms/...",
		"io/json", "io/csv", "io/parquet", "io/kafka/...", "io/generate", "io/socket", "io/webhook", "io/filesystem/blob/...",
	}},
	{"6b: backends of state", []string{"runners/local/pebble"}},
	{"7: a runner by flag", []string{"runners"}},
	{"8: users' tests", []string{"pipelinetest/..."}},
	{"8a: brokers and input for tests", []string{"internal/kafkatest/...", "internal/natsbus/natstest", "internal/paced"}},
	{"8b: jobs of real processes, broken for tests", []string{"internal/chaos"}},
	{"9: programs", []string{"cmd/...", "examples/...", "bench/...", "internal/archtest"}},
}

// ban forbids an import that the rows alone would allow, or that deserves its
// own sentence.
type ban struct {
	from, to string // a package, or a tree that ends in "/..."
	why      string
}

var bans = []ban{
	{"internal/flow", "internal/engine", "operators know no queue"},
	{"internal/engine", "internal/flow", "the engine knows no element type"},
	{"internal/draw", "internal/flow", "a picture is of the graph, not of its operators"},
	{"internal/draw", "coder", "a picture is of the graph, not of its operators"},
	{"pipeline", "internal/engine", "building is not running: take typed operators from internal/flow"},
	{"pipeline", "internal/commit", "building is not running"},
	{"transforms/...", "internal/engine", "the public contract is then missing something"},
	{"transforms/...", "internal/flow", "the public contract is then missing something"},
	{"transforms/...", "internal/graph", "the public contract is then missing something"},
	{"io/...", "internal/engine", "the public contract is then missing something"},
	{"io/...", "internal/flow", "the public contract is then missing something"},
	{"io/...", "internal/graph", "the public contract is then missing something"},
	{"examples/...", "internal/...", "an example shows what users can write themselves"},
}

// library is code, most of it from elsewhere, that only some packages may use, so that it is
// linked only into the programs that ask for it, and can be replaced in one place.
type library struct {
	prefix string   // of import paths
	users  []string // packages or trees
}

var libraries = []library{
	{"github.com/nats-io/", []string{"internal/natsbus", "runners/distributed"}},
	// Nor may anybody reach NATS through our own package for it: a program on runners/local
	// alone links none of it.
	{module + "/internal/natsbus", []string{"runners/distributed", "internal/natsbus/natstest", "internal/chaos", "bench/shuffle"}},
	{"github.com/segmentio/kafka-go", []string{"io/kafka/...", "bench/kafka"}},
	{"github.com/twmb/franz-go", []string{"io/kafka/registry/...", "internal/kafkatest", "bench/kafka", "bench/kafkacrash", "internal/chaos", "examples/kafka"}},
	{"github.com/twmb/avro", []string{"io/kafka/registry/avro", "io/kafka/registry/registrytest"}},
	{"github.com/santhosh-tekuri/jsonschema", []string{"io/kafka/registry/jsonschema"}},
	{"github.com/bufbuild/protocompile", []string{"io/kafka/registry/protobuf"}},
	{"google.golang.org/protobuf", []string{"io/kafka/registry/protobuf", "runners/beam"}},
	{"github.com/apache/beam", []string{"runners/beam"}},
	{"gocloud.dev/", []string{"io/filesystem/blob/..."}},
	{"github.com/parquet-go/", []string{"io/parquet"}},
	{"github.com/apache/arrow", []string{"io/parquet"}},
	{"github.com/cockroachdb/pebble", []string{"internal/statepebble"}},
	{"github.com/stretchr/testify", []string{"pipelinetest/..."}},
	// Flags are read where programs begin, never in the middle.
	{"flag", []string{"runners", "runners/local", "runners/distributed", "runners/beam", "internal/runner", "pipelinetest", "internal/kafkatest/cmd/...", "cmd/...", "examples/...", "bench/..."}},
}

// leanRoots and heavy: nothing that a leanRoot imports, directly or not, may
// import what begins with one of heavy.
var (
	leanRoots = []string{"runners", "runners/local", "transforms", "transforms/table", "pipelinetest", "io/text", "io/json", "io/csv"}
	heavy     = []string{"github.com/segmentio/kafka-go", "github.com/twmb/franz-go", "github.com/apache/beam", "gocloud.dev/"}
)
