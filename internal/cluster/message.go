package cluster

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Message is one of the structs of this file. Each knows its bounds.
type Message interface{ check() error }

// Hello asks to be taken in as a worker. The answer is [Welcome] or [Refused].
type Hello struct {
	Worker   string `json:"worker"`   // ID: drawn when a process starts, so never that of another one
	Program  string `json:"program"`  // hash of the binary
	Platform string `json:"platform"` // "linux/amd64"; what is built for another one has another hash
	Host     string `json:"host"`
	Pid      int    `json:"pid"`
	Wish     int    `json:"wish,omitempty"`    // the number that it would like
	Parent   string `json:"parent,omitempty"`  // the process that has started it, which starts others where they are missing; "": it joins by itself
	Address  string `json:"address,omitempty"` // where others reach it directly; "": nowhere
}

// Welcome takes a worker in. It builds its graph next, and says [Ready].
type Welcome struct {
	Number int             `json:"number"` // for people, from 1
	Flags  []Flag          `json:"flags"`  // of the job's command line, that the worker's has to agree with
	Job    json.RawMessage `json:"job,omitempty"`
}

// Flag is a flag as it was set.
type Flag struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Ready says that a worker has built the pipeline. The answer is a [Roster], [Refused],
// or [Tell], upon which it says Ready again with the whole graph.
type Ready struct {
	Worker string `json:"worker"`
	Hash   uint64 `json:"hash,string"` // of its graph
	Graph  *Graph `json:"graph,omitempty"`
}

// Tell wants to know more: the worker says [Hello] again, and then [Ready] with its graph,
// whose hash is another one than the job's. Behind [Beat], and maybe behind Ready, it is not
// known: it has said Hello to a leader before this one.
type Tell struct{}

// Refused is an answer that is final: the process ends, and shows why.
type Refused struct {
	Reason string `json:"reason"` // one sentence
	Detail string `json:"detail,omitempty"`
}

func (r *Refused) Error() string {
	if r.Detail == "" {
		return r.Reason
	}
	return r.Reason + "\n  " + strings.ReplaceAll(r.Detail, "\n", "\n  ")
}

// Roster says who belongs to the job and who has which slots. It is sent to all whenever
// it changes, and to whoever has an older one. Newer editions replace older ones: it says
// what is to be, not what is to be done, so that one that is lost or late does no harm.
type Roster struct {
	Edition
	Phase   Phase    `json:"phase"`
	Why     string   `json:"why,omitempty"`  // a job that failed: the failure
	Lanes   int      `json:"lanes"`          // of each slot
	Wish    int      `json:"wish,omitempty"` // workers that are to have slots; 0: all that are here
	Workers []Member `json:"workers"`        // by number
	Slots   []Place  `json:"slots"`          // by slot
}

// surplus reports that a worker that has a parent is to end.
func (r *Roster) surplus(worker string) bool {
	return !r.owns(worker) && slices.ContainsFunc(r.Workers, func(m Member) bool { return m.Worker == worker && m.Spare && m.Parent != "" })
}

// Addresses are where a slot is heard directly: those of its owner and of its standbys, as far
// as they are known.
func (r *Roster) Addresses(slot int) (list []string) {
	p := r.Slots[slot]
	for _, worker := range append([]string{p.Owner}, p.Standbys...) {
		for _, m := range r.Workers {
			if m.Worker == worker && m.Address != "" {
				list = append(list, m.Address)
			}
		}
	}
	return list
}

func (r *Roster) owns(worker string) bool {
	return slices.ContainsFunc(r.Slots, func(p Place) bool { return p.Owner == worker })
}

// Edition is which roster one is: those of a later leader are newer than all of an earlier
// one.
type Edition struct {
	Term    uint64 `json:"term"` // of the leader
	Version uint64 `json:"version"`
}

// Newer reports that e replaces o.
func (e Edition) Newer(o Edition) bool {
	return e.Term > o.Term || e.Term == o.Term && e.Version > o.Version
}

// Member is a worker as others know it.
type Member struct {
	Worker  string `json:"worker"`
	Number  int    `json:"number"`
	Host    string `json:"host"`
	Address string `json:"address,omitempty"`
	Parent  string `json:"parent,omitempty"` // as in [Hello]
	Spare   bool   `json:"spare,omitempty"`  // it is to have no slots; one that has a parent ends when it has none
}

// Place is where a slot is.
type Place struct {
	Owner    string   `json:"owner,omitempty"` // worker; "": nobody has it at the moment
	Standbys []string `json:"standbys,omitempty"`
}

// Beat says that a worker is there, and how its slots are. The answer is a [Roster] if
// there is a newer one, [Tell] if it isn't known, else [Fine].
type Beat struct {
	Worker  string       `json:"worker"`
	Edition              // of its newest roster
	Leaving bool         `json:"leaving,omitempty"` // it wants to hand on its slots
	Slots   []SlotReport `json:"slots,omitempty"`
}

// SlotReport is how far the slot of a worker is.
type SlotReport struct {
	Slot     int       `json:"slot"`
	State    SlotState `json:"state"`
	Error    string    `json:"error,omitempty"` // with which it failed
	Elements int64     `json:"elements"`        // read from all sources by this incarnation
	Read     int64     `json:"read"`            // of the sources, in units of their own
	Total    int64     `json:"total"`           // 0: not known
	Epoch    uint64    `json:"epoch"`           // the last that is committed
}

// Fine answers a [Beat] to which there is nothing to say.
type Fine struct{}

// Exit says that a worker leaves for good. What it has is given to others.
type Exit struct {
	Worker string `json:"worker"`
	Reason string `json:"reason"`
}

// Log is a line that people are shown.
type Log struct {
	Number int    `json:"number"` // of the worker; 0: the leader says it
	Line   string `json:"line"`   // without its end
}

func (l *Log) String() string {
	if l.Number == 0 {
		return l.Line
	}
	return fmt.Sprintf("worker %d | %s", l.Number, l.Line)
}

// Command asks something of the job. The answer is a [Reply].
type Command struct {
	Name string   `json:"name"`
	Args []string `json:"args,omitempty"`
}

// Reply answers a [Command].
type Reply struct {
	Error  string          `json:"error,omitempty"` // a sentence; then there is no Result
	Result json.RawMessage `json:"result,omitempty"`
}

// Phase is how far a job is. It only rises.
type Phase uint8

const (
	Gathering Phase = iota // workers are missing
	Running
	Draining  // sources rest; what they have given is worked off, and shown
	Stopping  // slots commit what they have, and stop
	Done      // all slots have come to the end of their input
	Drained   // all slots have stopped; a later run goes on
	Failed    // a slot failed for good
	Cancelled // somebody asked for it
)

var phases = [...]string{"gathering", "running", "draining", "stopping", "done", "drained", "failed", "cancelled"}

func (p Phase) String() string { return nameOf(phases[:], uint8(p)) }

// Runs reports that slots run, and are given to who is there.
func (p Phase) Runs() bool { return p == Running || p == Draining }

// Over reports that workers stop and leave.
func (p Phase) Over() bool { return p >= Done }

// MarshalText implements encoding.TextMarshaler.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Phase) UnmarshalText(b []byte) (err error) {
	*p, err = named[Phase](phases[:], b, "phase")
	return err
}

// SlotState is what a worker does with a slot.
type SlotState uint8

const (
	Opening SlotState = iota // restoring it
	Live                     // its lanes run
	Stopped                  // it has committed what it had, and will do no more here
	Ended                    // its input has come to its end, and all is committed
	Broken                   // it failed for good
	Warm                     // it stands by, and could take the slot over at once
)

var slotStates = [...]string{"opening", "live", "stopped", "ended", "broken", "warm"}

func (s SlotState) String() string { return nameOf(slotStates[:], uint8(s)) }

// MarshalText implements encoding.TextMarshaler.
func (s SlotState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *SlotState) UnmarshalText(b []byte) (err error) {
	*s, err = named[SlotState](slotStates[:], b, "state of a slot")
	return err
}

func nameOf(names []string, i uint8) string {
	if int(i) >= len(names) {
		return fmt.Sprintf("unknown (%d)", i)
	}
	return names[i]
}

func named[T ~uint8](names []string, b []byte, what string) (T, error) {
	for i, name := range names {
		if name == string(b) {
			return T(i), nil
		}
	}
	return 0, fmt.Errorf("no %s is called %q", what, b)
}

// Bounds of messages.
const (
	MaxMessage = 512 << 10 // bytes of a message
	MaxWorkers = 256
	MaxSlots   = 1024
	maxName    = 256      // bytes of names, hosts, addresses
	maxText    = 16 << 10 // bytes of sentences and lines
	maxFlags   = 1000
)

func (m *Hello) check() error {
	return errors.Join(checkWorker(m.Worker), checkNames(m.Program, m.Platform, m.Host, m.Address, m.Parent), checkRange("pid", m.Pid, 0, 1<<31-1), checkRange("wish", m.Wish, 0, MaxWorkers))
}

func (m *Welcome) check() error {
	if len(m.Flags) > maxFlags {
		return fmt.Errorf("%d flags are too many", len(m.Flags))
	}
	for _, f := range m.Flags {
		if err := errors.Join(checkNames(f.Name), checkText(f.Value)); err != nil {
			return err
		}
	}
	if len(m.Job) > maxText {
		return fmt.Errorf("%d bytes about the job are too many", len(m.Job))
	}
	return checkRange("number", m.Number, 1, 1<<31-1)
}

func (m *Ready) check() error {
	if m.Graph != nil && (m.Graph.Hash != m.Hash || m.Graph.Count < len(m.Graph.Nodes)) {
		return errors.New("the graph is another one than is said")
	}
	return checkWorker(m.Worker)
}

func (*Tell) check() error { return nil }
func (*Fine) check() error { return nil }

func (m *Refused) check() error {
	if m.Reason == "" {
		return errors.New("refused for no reason")
	}
	return checkText(m.Reason, m.Detail)
}

func (m *Roster) check() error {
	if len(m.Workers) > MaxWorkers || len(m.Slots) > MaxSlots {
		return fmt.Errorf("%d workers with %d slots are too many", len(m.Workers), len(m.Slots))
	}
	members := map[string]bool{"": true}
	for _, w := range m.Workers {
		if err := errors.Join(checkWorker(w.Worker), checkNames(w.Host, w.Address, w.Parent), checkRange("number", w.Number, 1, 1<<31-1)); err != nil {
			return err
		}
		members[w.Worker] = true
	}
	for slot, p := range m.Slots {
		for _, w := range append([]string{p.Owner}, p.Standbys...) {
			if !members[w] {
				return fmt.Errorf("slot %d is given to %q, who is nobody", slot, w)
			}
		}
	}
	return errors.Join(checkText(m.Why), checkRange("lanes", m.Lanes, 1, 1024), checkRange("wish", m.Wish, 0, MaxWorkers))
}

func (m *Beat) check() error {
	if len(m.Slots) > MaxSlots {
		return fmt.Errorf("%d slots are too many", len(m.Slots))
	}
	for _, s := range m.Slots {
		if err := errors.Join(checkRange("slot", s.Slot, 0, MaxSlots-1), checkText(s.Error)); err != nil {
			return err
		}
		if s.Elements < 0 || s.Read < 0 || s.Total < 0 {
			return fmt.Errorf("slot %d has read less than nothing", s.Slot)
		}
	}
	return checkWorker(m.Worker)
}

func (m *Exit) check() error { return errors.Join(checkWorker(m.Worker), checkText(m.Reason)) }

func (m *Log) check() error {
	return errors.Join(checkRange("number", m.Number, 0, 1<<31-1), checkText(m.Line))
}

func (m *Command) check() error {
	if len(m.Args) > 100 {
		return fmt.Errorf("%d arguments are too many", len(m.Args))
	}
	return errors.Join(checkNames(m.Name), checkText(m.Args...))
}

func (m *Reply) check() error {
	if m.Error != "" && m.Result != nil {
		return errors.New("a failure with a result")
	}
	return checkText(m.Error)
}

// checkWorker holds IDs to what may stand in the name of a mailbox.
func checkWorker(id string) error {
	if len(id) < 8 || len(id) > 32 || strings.Trim(id, "0123456789abcdef") != "" {
		return fmt.Errorf("%q is no worker's ID", cut(id))
	}
	return nil
}

func checkNames(names ...string) error {
	for _, s := range names {
		if len(s) > maxName {
			return fmt.Errorf("%q is too long", cut(s))
		}
	}
	return nil
}

func checkText(texts ...string) error {
	for _, s := range texts {
		if len(s) > maxText {
			return fmt.Errorf("%q is too long", cut(s))
		}
	}
	return nil
}

func checkRange(what string, n, least, most int) error {
	if n < least || n > most {
		return fmt.Errorf("%s %d: want %d to %d", what, n, least, most)
	}
	return nil
}

func cut(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

// Text shortens a text to what a message takes.
func Text(s string) string {
	if len(s) > maxText {
		const end = " …"
		return strings.ToValidUTF8(s[:maxText-len(end)], "") + end
	}
	return s
}

// kinds makes an empty message of each kind, by the name that it has on the wire.
var kinds = map[string]func() Message{
	"hello":   func() Message { return &Hello{} },
	"welcome": func() Message { return &Welcome{} },
	"ready":   func() Message { return &Ready{} },
	"tell":    func() Message { return &Tell{} },
	"refused": func() Message { return &Refused{} },
	"roster":  func() Message { return &Roster{} },
	"beat":    func() Message { return &Beat{} },
	"fine":    func() Message { return &Fine{} },
	"exit":    func() Message { return &Exit{} },
	"log":     func() Message { return &Log{} },
	"command": func() Message { return &Command{} },
	"reply":   func() Message { return &Reply{} },
}

func kindOf(m Message) string {
	return strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", m), "*cluster."))
}

var (
	// ErrStranger is a message that was not made with the join token.
	ErrStranger = errors.New("the join token is another one")
	// ErrNewer is a message of a later version of Millrace.
	ErrNewer = errors.New("sent by another version of Millrace")
)

// A message as bytes:
//
//	millrace1 <HMAC-SHA256 of what follows the blank behind it, in hex> <JSON: envelope>
//
// Who does not know the token can neither make nor change one, and learns nothing of it.
const (
	magic = "millrace"
	head  = magic + "1 "
	start = len(head) + 2*sha256.Size + 1
)

type envelope struct {
	Job  string          `json:"job"`
	Kind string          `json:"kind"`
	Body json.RawMessage `json:"body"`
}

// Sealer makes messages of a job, and opens them.
type Sealer struct{ Job, Token string }

// Seal makes m into bytes. It fails if m is beyond the bounds.
func (s *Sealer) Seal(m Message) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("send %s: %w", kindOf(m), err)
	}
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("send %s: %w", kindOf(m), err)
	}
	b, err := json.Marshal(envelope{s.Job, kindOf(m), body})
	if err != nil {
		return nil, fmt.Errorf("send %s: %w", kindOf(m), err)
	}
	if start+len(b) > MaxMessage {
		return nil, fmt.Errorf("send %s: %d bytes are too many", kindOf(m), len(b))
	}
	return fmt.Appendf(nil, "%s%x %s", head, s.mac(b), b), nil
}

// Open is the message in b, all of it. It fails with ErrStranger if another token made
// it, and with ErrNewer if another version did.
func (s *Sealer) Open(b []byte) (Message, error) {
	if len(b) > MaxMessage {
		return nil, fmt.Errorf("a message of %d bytes is too long", len(b))
	}
	if !bytes.HasPrefix(b, []byte(head)) {
		if bytes.HasPrefix(b, []byte(magic)) {
			return nil, ErrNewer
		}
		return nil, errors.New("no message of Millrace's")
	}
	if len(b) < start || b[start-1] != ' ' {
		return nil, errors.New("a message that is not whole")
	}
	mac, err := hex.DecodeString(string(b[len(head) : start-1]))
	if err != nil || !hmac.Equal(mac, s.mac(b[start:])) {
		return nil, ErrStranger
	}
	var e envelope
	if err := strict(b[start:], &e); err != nil {
		return nil, fmt.Errorf("read a message: %w", err)
	}
	if e.Job != s.Job {
		return nil, fmt.Errorf("a message for the job %q", cut(e.Job))
	}
	if kinds[e.Kind] == nil {
		return nil, fmt.Errorf("a message of kind %q: %w", cut(e.Kind), ErrNewer)
	}
	m := kinds[e.Kind]()
	if err := strict(e.Body, m); err != nil {
		return nil, fmt.Errorf("read %s: %w", e.Kind, err)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("read %s: %w", e.Kind, err)
	}
	return m, nil
}

func (s *Sealer) mac(b []byte) []byte {
	h := hmac.New(sha256.New, []byte(s.Token))
	h.Write(b)
	return h.Sum(nil)
}

// strict reads JSON that has nothing but what v knows, and nothing behind it.
func strict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something stands behind it")
	}
	return nil
}
