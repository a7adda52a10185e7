package cluster

import (
	"bytes"
	"encoding/json"

	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// samples are messages of all kinds, with something in each field.
func samples() []Message {
	const a, b = "0a1b2c3d4e5f6071", "f0e1d2c3b4a59687"
	return []Message{
		&Hello{Worker: a, Program: "c0ffee", Platform: "linux/amd64", Host: "h1", Pid: 17, Wish: 3, Address: "10.0.0.1:4000"},
		&Welcome{Number: 2, Flags: []Flag{{"in", "a b"}, {"fast", "true"}}},
		&Ready{Worker: a, Hash: 1<<64 - 1},
		&Ready{Worker: a, Hash: 7, Graph: &Graph{Hash: 7, Count: 9, Nodes: []Node{{
			Name: "count", Kind: "CombinePerKey", Position: "shop/main.go:31", Windowing: "global", Key: "varint",
			State: []string{"value n varint"}, In: []string{"by key from read.0"}, Types: []string{"KV[string, int64]"}, Coders: []string{"kv"},
		}}}},
		&Tell{},
		&Refused{Reason: "no", Detail: "because\nof this"},
		&Roster{Edition: Edition{2, 3}, Phase: Failed, Why: "slot 1: boom", Lanes: 2,
			Workers: []Member{{Worker: a, Number: 1, Host: "h1", Address: "10.0.0.1:4000"}, {Worker: b, Number: 2, Host: "h2"}},
			Slots:   []Place{{Owner: a, Standbys: []string{b}}, {}}},
		&Beat{Worker: b, Edition: Edition{2, 3}, Leaving: true, Slots: []SlotReport{{Slot: 1, State: Broken, Error: "boom", Elements: 10, Read: 100, Total: 200, Epoch: 4}}},
		&Fine{},
		&Exit{Worker: a, Reason: "told to"},
		&Log{Number: 1, Line: "<hello> \x1b[0m \"you\""},
		&Command{Name: "rescale", Args: []string{"5"}},
		&Reply{Error: "there is no such command"},
		&Reply{Result: json.RawMessage(`{"slots":3}`)},
		&Hello{Worker: b, Pid: 18, Parent: a},
		&Roster{Edition: Edition{2, 4}, Phase: Running, Lanes: 2, Wish: 1,
			Workers: []Member{{Worker: a, Number: 1}, {Worker: b, Number: 2, Parent: a, Spare: true}}, Slots: []Place{{Owner: a}}},
	}
}

var sealer = Sealer{Job: "shop", Token: "secret"}

// Goal: the bytes of a version never change, and are read as what they were. -update
// rewrites them; a difference there wants another version.
func TestMessages_golden(t *testing.T) {
	const path = "testdata/messages_v1.txt"
	var out bytes.Buffer
	for _, m := range samples() {
		b, err := sealer.Seal(m)
		require.NoError(t, err)
		out.Write(append(b, '\n'))
	}
	if *update {
		require.NoError(t, os.WriteFile(path, out.Bytes(), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), out.String(), "-update rewrites it")

	lines := bytes.Split(bytes.TrimSuffix(want, []byte("\n")), []byte("\n"))
	seen := map[string]bool{}
	for i, m := range samples() {
		got, err := sealer.Open(lines[i])
		require.NoError(t, err)
		require.Equal(t, m, got)
		seen[kindOf(m)] = true
	}
	for kind := range kinds {
		require.True(t, seen[kind], "there is no sample of %s", kind)
	}
}

// Goal: what is not a message of this job, whole and unchanged, is not read as one.
func TestSealer_refuses(t *testing.T) {
	whole, err := sealer.Seal(&Command{Name: "cancel"})
	require.NoError(t, err)
	for i := range whole {
		changed := bytes.Clone(whole)
		changed[i] ^= 1
		_, err := sealer.Open(changed)
		require.Error(t, err, "byte %d is another one", i)
		_, err = sealer.Open(whole[:i])
		require.Error(t, err, "cut at %d", i)
	}
	_, err = sealer.Open(append(bytes.Clone(whole), '\n'))
	require.ErrorIs(t, err, ErrStranger)

	stranger := Sealer{Job: "shop", Token: "guess"}
	_, err = stranger.Open(whole)
	require.ErrorIs(t, err, ErrStranger)

	other := Sealer{Job: "till", Token: "secret"}
	_, err = other.Open(whole)
	require.EqualError(t, err, `a message for the job "shop"`)

	_, err = sealer.Open(bytes.Replace(whole, []byte("millrace1"), []byte("millrace2"), 1))
	require.ErrorIs(t, err, ErrNewer)
}

// Goal: bounds hold on both ends. Method: the JSON is sealed as it stands, by one who
// knows the token and is still wrong.
func TestSealer_strict(t *testing.T) {
	for _, tc := range []struct{ kind, body, want string }{
		{"fine", `{"more":1}`, `read fine: json: unknown field "more"`},
		{"fine", `{} {}`, `read a message: invalid character '{' after object key:value pair`},
		{"dance", `{}`, `a message of kind "dance": sent by another version of Millrace`},
		{"exit", `{"worker":"../../x","reason":""}`, `read exit: "../../x" is no worker's ID`},
		{"exit", `{"worker":"0A1B2C3D","reason":""}`, `read exit: "0A1B2C3D" is no worker's ID`},
		{"refused", `{"reason":""}`, `read refused: refused for no reason`},
		{"welcome", `{"number":0,"flags":[]}`, `read welcome: number 0: want 1 to 2147483647`},
		{"roster", `{"version":1,"phase":"dreaming","lanes":1,"workers":[],"slots":[]}`, `read roster: no phase is called "dreaming"`},
		{"roster", `{"version":1,"phase":"running","lanes":0,"workers":[],"slots":[]}`, `read roster: lanes 0: want 1 to 1024`},
		{"roster", `{"version":1,"phase":"running","lanes":1,"workers":[],"slots":[{"owner":"0a1b2c3d"}]}`, `read roster: slot 0 is given to "0a1b2c3d", who is nobody`},
		{"beat", `{"worker":"0a1b2c3d","version":1,"slots":[{"slot":-1,"state":"live"}]}`, `read beat: slot -1: want 0 to 1023`},
		{"beat", `{"worker":"0a1b2c3d","version":1,"slots":[{"slot":1,"state":"live","total":-5}]}`, `read beat: slot 1 has read less than nothing`},
		{"ready", `{"worker":"0a1b2c3d","hash":"1","graph":{"hash":"2","count":0,"nodes":[]}}`, `read ready: the graph is another one than is said`},
		{"command", `{"name":"` + strings.Repeat("x", 257) + `"}`, `read command: "` + strings.Repeat("x", 40) + `…" is too long`},
		{"reply", `{"error":"no","result":1}`, `read reply: a failure with a result`},
	} {
		body := []byte(`{"job":"shop","kind":"` + tc.kind + `","body":` + tc.body + `}`)
		_, err := sealer.Open(append([]byte(head+fmt.Sprintf("%x", sealer.mac(body))+" "), body...))
		require.EqualError(t, err, tc.want)
	}
	_, err := sealer.Seal(&Log{Number: 1, Line: strings.Repeat("x", maxText+1)})
	require.ErrorContains(t, err, "send log: ")
	_, err = sealer.Seal(&Log{Number: 1, Line: Text(strings.Repeat("ü", maxText))})
	require.NoError(t, err)
	_, err = sealer.Seal(&Reply{Result: json.RawMessage(`"` + strings.Repeat("x", MaxMessage) + `"`)})
	require.ErrorContains(t, err, "are too many")
}

// FuzzOpen: whatever is said with the right token is read as a message within its
// bounds, or is an error.
func FuzzOpen(f *testing.F) {
	for _, m := range samples() {
		b, err := sealer.Seal(m)
		require.NoError(f, err)
		f.Add(b[start:])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := sealer.Open(append([]byte(head+fmt.Sprintf("%x", sealer.mac(body))+" "), body...))
		if err != nil {
			return
		}
		again, err := sealer.Seal(m)
		if err != nil {
			require.ErrorContains(t, err, "are too many") // characters that JSON writes longer
			return
		}
		same, err := sealer.Open(again)
		require.NoError(t, err)
		third, err := sealer.Seal(same)
		require.NoError(t, err)
		require.Equal(t, string(again), string(third))

	})
}
