package cluster

import (
	"fmt"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/terminal"
)

// Status is what people are told of a job.
type Status struct {
	Job     string         `json:"job"`
	Phase   Phase          `json:"phase"`
	Why     string         `json:"why,omitempty"`
	Started time.Time      `json:"started"`
	Wait    int            `json:"wait"`              // workers without whom it does not begin
	Wish    int            `json:"wish,omitempty"`    // workers that are to have slots, by rescale; 0: all that are here
	Missing int            `json:"missing,omitempty"` // of those
	Settled bool           `json:"settled"`           // none are missing, and all have their slots, each as many as another or one more, and key groups in equal shares
	Workers []WorkerStatus `json:"workers"`
	Slots   []SlotStatus   `json:"slots"`
	Kept    *Kept          `json:"kept,omitempty"` // nil: nothing is kept, or on one server; leaders don't say
}

// Kept is how what a job keeps is, on several servers.
type Kept struct {
	Servers int    `json:"servers"`
	Whole   bool   `json:"whole"`         // each has all: one more may be lost
	Why     string `json:"why,omitempty"` // it could not be looked at; Servers is 0
}

func (k *Kept) String() string {
	switch {
	case k.Why != "":
		return "what NATS keeps could not be looked at: " + k.Why
	case k.Whole:
		return fmt.Sprintf("%s keep it, and each has all", count(k.Servers, "NATS server"))
	}
	return fmt.Sprintf("%s keep it, and not each has all yet: wait before one more ends", count(k.Servers, "NATS server"))
}

// WorkerStatus is a worker in a [Status].
type WorkerStatus struct {
	Number  int    `json:"number"`
	Host    string `json:"host"`
	Address string `json:"address,omitempty"` // where other workers reach it directly; "": over NATS
	Parent  string `json:"parent,omitempty"`  // the process that has started it, and starts others where they are missing; "": it has joined by itself
	Spare   bool   `json:"spare,omitempty"`   // it is to have no slots
}

// SlotStatus is a slot in a [Status].
type SlotStatus struct {
	Worker   int        `json:"worker"` // number of its owner; 0: nobody has it
	Standbys []int      `json:"standbys,omitempty"`
	State    *SlotState `json:"state,omitempty"` // nil: its owner has not said anything yet
	Elements int64      `json:"elements"`        // since the leader began, by all owners
	Read     int64      `json:"read"`
	Total    int64      `json:"total"` // 0: not known
	Epoch    uint64     `json:"epoch"`
	Groups   int        `json:"groups,omitempty"` // key groups that it has, or is about to have; 0 also where that is not known
}

// Line is one line about the job after elapsed: elements, rate, slots, epochs, and the
// time left where the sources know how much there is.
func (s *Status) Line(elapsed time.Duration) string {
	if s.Phase == Gathering {
		return fmt.Sprintf("waiting for workers: %d of %d are here", len(s.Workers), s.Wait)
	}
	var elements, read, total int64
	alive, known := 0, true
	least, most := ^uint64(0), uint64(0)
	for _, slot := range s.Slots {
		if slot.Worker > 0 && slot.State != nil && *slot.State != Opening {
			alive++
		}
		elements, read, total = elements+slot.Elements, read+slot.Read, total+slot.Total
		known = known && slot.Total > 0
		least, most = min(least, slot.Epoch), max(most, slot.Epoch)
	}
	if !known {
		total = 0
	}
	line := fmt.Sprintf("%s, %d of %s on %s", terminal.Elements(elements, elapsed), alive, count(len(s.Slots), "slot"), count(len(s.Workers), "worker"))
	switch {
	case most > 0 && least == most:
		line += fmt.Sprintf(", epoch %d", most)
	case most > 0:
		line += fmt.Sprintf(", epochs %d to %d", least, most)
	}
	if s.Phase != Running {
		return line + ", " + s.Phase.String()
	}
	return line + terminal.Left(read, total, elapsed)
}

// String is the status for people: lines, the last of them ended.
func (s *Status) String() string {
	var b strings.Builder
	elapsed := time.Since(s.Started)
	fmt.Fprintf(&b, "job %s: %s", s.Job, s.Phase)
	if s.Why != "" {
		fmt.Fprintf(&b, ": %s", s.Why)
	}
	fmt.Fprintf(&b, ", led for %v\n%s\n", elapsed.Round(time.Second), s.Line(elapsed))
	for _, w := range s.Workers {
		at, spare := "", ""
		if w.Address != "" {
			at = " at " + w.Address
		}
		if w.Spare {
			spare = ", a spare"
		}
		fmt.Fprintf(&b, "worker %d on %s%s%s\n", w.Number, w.Host, at, spare)
	}
	if s.Missing > 0 {
		fmt.Fprintf(&b, "%d of %s missing\n", s.Missing, count(s.Wish, "worker"))
	}
	for i := range s.Slots {
		fmt.Fprintf(&b, "slot %d %s\n", i, s.Slots[i].text())
	}
	if s.Kept != nil {
		fmt.Fprintln(&b, s.Kept)
	}
	return b.String()
}

func (s *SlotStatus) text() string {
	if s.Worker == 0 {
		return "has no worker"
	}
	state := "given to it just now"
	if s.State != nil {
		state = s.State.String()
	}
	text := fmt.Sprintf("on worker %d: %s, epoch %d, %s elements", s.Worker, state, s.Epoch, terminal.Count(float64(s.Elements)))
	if s.Groups > 0 {
		text += fmt.Sprintf(", %d key groups", s.Groups)
	}
	if s.Standbys != nil {
		text += fmt.Sprintf(", standbys %v", s.Standbys)
	}
	return text
}
