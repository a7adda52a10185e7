package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// errNoDisk says why a full disk can't be tried here.
var errNoDisk = errors.New("a full disk can't be tried here: it wants Linux and root, to mount a tmpfs (a container often may not); the simulated disk of internal/commit/sim can be full as well, without any of that")

// The sentences by which a job says it.
const (
	saysFull = "the disk is full: no input is taken until there is room"
	saysRoom = "there is room on the disk again"
)

// fillDisk lets the disk with a job's state become full, once while it runs on and
// once with a kill behind it, and makes room again.
func (s schedule) fillDisk(dir string) (res *report, err error) {
	begun := time.Now()
	r := rand.New(rand.NewPCG(s.Seed, 7))
	res = &report{Engine: "millrace", Mode: "full", State: s.State, Users: s.Users, Seed: s.Seed, Phases: map[phase]int{}}
	small := filepath.Join(dir, "small")
	if err := mountSmall(small, "96m"); err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, command("umount", small)) }()
	t := s.task(filepath.Join(small, "state"), filepath.Join(dir, "out"))
	filler := filepath.Join(small, "filler")
	var shown map[string]int64
	for round := range s.Kills {
		kills := round%2 == 1
		t.Limit += uint64(10 * s.Rate) // more than it can take before the disk is full
		p, err := start(t)
		if err != nil {
			return res, err
		}
		select {
		case <-p.committed:
		case <-p.ended:
		}
		if err := p.fillUntil(saysFull, filler, time.Minute); err != nil {
			_, _ = p.kill()
			return res, fmt.Errorf("round %d: %w", round, err)
		}
		n := p.commitsNow()
		time.Sleep(time.Duration(50+r.IntN(200)) * time.Millisecond)
		if now := p.commitsNow(); now > n+t.Lanes { // one may have been durable already
			_, _ = p.kill()
			return res, fmt.Errorf("round %d: the disk is full, and %d times something was committed", round, now-n)
		}
		if kills {
			at, err := p.kill()
			if err != nil {
				return res, err
			}
			res.Phases[at]++
			res.Restarts++
		}
		if err := os.Remove(filler); err != nil {
			return res, err
		}
		if !kills {
			if err := p.awaitLog(saysRoom, time.Minute); err != nil {
				_, _ = p.kill()
				return res, fmt.Errorf("round %d: %w", round, err)
			}
			if err := p.awaitCommits(n+2*t.Lanes, time.Minute); err != nil {
				_, _ = p.kill()
				return res, fmt.Errorf("round %d, with room again: %w", round, err)
			}
			if _, err := p.kill(); err != nil {
				return res, err
			}
		}
		res.add(p)
		now, err := shownFiles(t.Out)
		if err == nil {
			err = stillThere(shown, now)
		}
		if err != nil {
			return res, err
		}
		shown = now
	}
	t.Ends, t.Rate = true, 0
	p, err := start(t)
	if err != nil {
		return res, err
	}
	if err := p.wait(); err != nil {
		return res, err
	}
	res.add(p)
	res.Kills, res.Events = s.Kills, t.Limit
	if err := res.compare(dir, t, shown); err != nil {
		return res, err
	}
	res.Seconds = time.Since(begun).Seconds()
	return res, nil
}

// fillUntil fills the disk until the child has said text: it makes room itself as long as it
// runs, by deleting what it does not need any more.
func (p *process) fillUntil(text, path string, most time.Duration) error {
	for late := time.Now().Add(most); ; {
		if err := fill(path); err != nil {
			return err
		}
		err := p.awaitLog(text, 50*time.Millisecond)
		if err == nil || time.Now().After(late) {
			return err
		}
		select {
		case <-p.ended:
			return err
		default:
		}
	}
}

// fill makes a file longer until there is no room any more.
func fill(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			return err
		}
	}
	return nil
}

// fillOutput lets the disk with a job's output become full: the job ends with an error,
// and is started again when there is room.
func (s schedule) fillOutput(dir string) (res *report, err error) {
	begun := time.Now()
	res = &report{Engine: "millrace", Mode: "outfull", State: s.State, Users: s.Users, Seed: s.Seed, Phases: map[phase]int{}}
	small := filepath.Join(dir, "small")
	if err := mountSmall(small, "8m"); err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, command("umount", small)) }()
	t := s.task(filepath.Join(dir, "state"), filepath.Join(small, "out"))
	filler := filepath.Join(small, "filler")
	var shown map[string]int64
	for round := range s.Kills {
		t.Limit += uint64(10 * s.Rate)
		p, err := start(t)
		if err != nil {
			return res, err
		}
		select {
		case <-p.committed:
		case <-p.ended:
		}
		if err := p.fillUntil("no space left on device", filler, time.Minute); err != nil {
			_, _ = p.kill()
			return res, fmt.Errorf("round %d: %w", round, err)
		}
		if err := p.wait(); err == nil {
			return res, fmt.Errorf("round %d: the job has ended well, with the disk full", round)
		}
		res.add(p)
		now, err := shownFiles(t.Out)
		if err := errors.Join(err, os.Remove(filler)); err != nil {
			return res, err
		}
		if err := stillThere(shown, now); err != nil {
			return res, err
		}
		shown = now
	}
	t.Ends, t.Rate = true, 0
	if err := command("mount", "-o", "remount,size=256m", small); err != nil {
		return res, err
	}
	p, err := start(t)
	if err != nil {
		return res, err
	}
	if err := p.wait(); err != nil {
		return res, err
	}
	res.add(p)
	res.Kills, res.Restarts, res.Events = s.Kills, s.Kills, t.Limit
	if err := res.compare(dir, t, shown); err != nil {
		return res, err
	}
	res.Seconds = time.Since(begun).Seconds()
	return res, nil
}

// mountSmall makes a folder a small disk.
func mountSmall(at, size string) error {
	if err := os.MkdirAll(at, 0o777); err != nil {
		return err
	}
	if err := command("mount", "-t", "tmpfs", "-o", "size="+size, "none", at); err != nil {
		return fmt.Errorf("%w (%w)", errNoDisk, err)
	}
	return nil
}
