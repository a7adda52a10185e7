package registrytest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/kafka"
	"github.com/millrace/millrace/io/kafka/registry"
	"github.com/millrace/millrace/io/kafka/registry/avro"
	"github.com/millrace/millrace/io/kafka/registry/registrytest"
)

const (
	one      = `{"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]}`
	more     = `{"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": "int"}]}`
	optional = `{"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": "int", "default": 0}]}`
)

// Goal: what each level of compatibility refuses.
func TestRegistry_compatibility(t *testing.T) {
	for _, tc := range []struct {
		level   string
		schemas []string
		refused bool
	}{
		{"", []string{one, optional}, false},
		{"", []string{one, more}, true},
		{"BACKWARD", []string{more, one}, false},
		{"FORWARD", []string{one, more}, false},
		{"FORWARD", []string{more, one}, true},
		{"FULL", []string{one, optional}, false},
		{"FULL", []string{one, more}, true},
		{"NONE", []string{one, `"string"`}, false},
		{"BACKWARD", []string{one, optional, more}, false}, // only the one before counts
		{"BACKWARD_TRANSITIVE", []string{one, optional, more}, true},
	} {
		reg := registrytest.New(t)
		if tc.level != "" {
			reg.SetCompatibility("s", tc.level)
		}
		var err error
		for i, schema := range tc.schemas {
			require.NoError(t, err, "%+v", tc)
			f := avro.Format[any](reg.URL(), registry.Schema(schema), registry.Register(), registry.Subject(func(string, string, bool) string { return "s" }))
			if err = f.Encode(map[string]any{"a": 1, "b": 2}, &kafka.Record{}); schema == `"string"` {
				err = f.Encode("x", &kafka.Record{})
			}
			if err == nil {
				assert.Equal(t, i+1, reg.Schemas("s"))
			}
		}
		if tc.refused {
			require.ErrorContains(t, err, "not compatible", "%+v", tc)
		} else {
			require.NoError(t, err, "%+v", tc)
		}
	}
}
