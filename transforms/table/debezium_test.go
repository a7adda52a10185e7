package table_test

import (
	"testing"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/transforms/table"
	"github.com/stretchr/testify/require"
)

type user struct {
	ID   int64  `json:"id"`
	Name string `json:"full_name"`
}

// Goal: messages of the shapes that Debezium writes.
func TestParseDebezium(t *testing.T) {
	ann, bo := &user{1, "Ann"}, &user{1, "Bo"}
	for _, tc := range []struct {
		name, message string
		want          table.Envelope[user]
		position      int64
		err           string
	}{
		{
			name:     "PostgreSQL, with a schema",
			message:  `{"schema":{"type":"struct"},"payload":{"before":null,"after":{"id":1,"full_name":"Ann","new_column":[1]},"source":{"connector":"postgresql","ts_ms":5,"table":"users","lsn":28581784,"xmin":null},"op":"c","ts_ms":7}}`,
			want:     table.Envelope[user]{Op: "c", After: ann, Source: table.EnvelopeSource{TsMs: 5, Table: "users", LSN: 28581784}, TsMs: 7},
			position: 28581784,
		},
		{
			name:     "MySQL, without one",
			message:  `{"before":{"id":1,"full_name":"Ann"},"after":{"id":1,"full_name":"Bo"},"source":{"ts_ms":5,"table":"users","file":"mysql-bin.000003","pos":4331,"row":0},"op":"u","ts_ms":7}`,
			want:     table.Envelope[user]{Op: "u", Before: ann, After: bo, Source: table.EnvelopeSource{TsMs: 5, Table: "users", File: "mysql-bin.000003", Pos: 4331}, TsMs: 7},
			position: 3<<32 + 4331,
		},
		{
			name:     "a deletion, of a database that is neither",
			message:  `{"payload":{"before":{"id":1,"full_name":"Bo"},"after":null,"source":{"ts_ms":5,"lsn":null},"op":"d"}}`,
			want:     table.Envelope[user]{Op: "d", Before: bo, Source: table.EnvelopeSource{TsMs: 5}},
			position: 5,
		},
		{name: "a snapshot's row", message: `{"after":{"id":1,"full_name":"Ann"},"op":"r"}`, want: table.Envelope[user]{Op: "r", After: ann}},
		{name: "an empty tombstone", message: ""},
		{name: "a null", message: " null\n"},
		{name: "a null with a schema", message: `{"schema":null,"payload":null}`},
		{name: "a message in the log", message: `{"op":"m"}`, want: table.Envelope[user]{Op: "m"}},
		{name: "no JSON", message: "{", err: "read a Debezium message: unexpected end of JSON input"},
		{name: "another type", message: `{"op":"c","after":{"id":"one"}}`, err: "read the payload of a Debezium message"},
		{name: "not an envelope", message: `{"id":1}`, err: `has op "": want c, r, u or d`},
		{name: "a truncation", message: `{"op":"t"}`, err: `has op "t": want c, r, u or d (a truncation, t, is of no one row)`},
		{name: "an update without its row", message: `{"op":"u","before":{"id":1}}`, err: `op "u" has no row in "after"`},
		{name: "a deletion without its row", message: `{"op":"d"}`, err: `op "d" has no row in "before"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := table.ParseDebezium[user]([]byte(tc.message))
			if tc.err != "" {
				require.ErrorContains(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
			require.Equal(t, tc.position, got.Position())
		})
	}
}

// Goal: a feed whose partitions were mixed up makes the table that the database has,
// and what is no message is set aside.
func TestDebezium_outOfOrder(t *testing.T) {
	messages := []string{
		`{"op":"u","after":{"id":1,"full_name":"Bo"},"source":{"lsn":20}}`,
		`{"op":"c","after":{"id":1,"full_name":"Ann"},"source":{"lsn":10}}`,
		``,
		`{"op":"d","before":{"id":2},"source":{"lsn":40}}`,
		`nonsense`,
		`{"op":"u","after":{"id":2,"full_name":"Cy"},"source":{"lsn":30}}`,
		`{"op":"m"}`,
		`{"op":"u","after":{"id":1,"full_name":"Bo"},"source":{"lsn":20}}`,
	}
	pipelinetest.Run(t, func(t *T, p *pipeline.Pipeline) {
		raw := pipeline.Map(pipeline.Create(p, messages...), func(s string) []byte { return []byte(s) })
		users := pipeline.KeyBy(table.Debezium[user](raw), func(e table.Envelope[user]) int64 { return e.Row().ID })
		folds(t, table.FromEnvelopes(users, "users", table.Version(table.Envelope[user].Position)), map[int64]user{1: {1, "Bo"}})
	}, pipelinetest.OnError(local.DeadLetter))
}

func FuzzParseDebezium(f *testing.F) {
	f.Add([]byte(`{"payload":{"op":"c","after":{"id":1},"source":{"file":"a.-9","pos":-1}}}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, message []byte) {
		e, err := table.ParseDebezium[user](message)
		if err == nil && e.Op != "" && e.Op != "m" {
			require.True(t, e.Before != nil || e.After != nil)
			e.Row()
			e.Position()
		}
	})
}
