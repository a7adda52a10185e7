package main

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// errNoPower says why power loss can't be tried here.
var errNoPower = errors.New("power loss can't be tried here: it wants Linux, root, mkfs.ext4 and a loop device to mount (a container often has none); the simulated disk of internal/commit/sim loses what was not made durable as well, without any of that")

// imageSize is that of the disk that loses its power.
const imageSize = 192 << 20

// disk is an ext4 file system on a loop device, whose medium is a file.
type disk struct {
	image string // path of the medium
	at    string // where it is mounted
}

// command runs a program that says what is wrong.
func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// newDisk makes a disk in dir. An error that is errNoPower says that it can't be done
// on this machine.
func newDisk(dir string) (*disk, error) {
	d := &disk{filepath.Join(dir, "disk-0"), filepath.Join(dir, "mounted")}
	f, err := os.Create(d.image)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(imageSize), f.Close(), os.MkdirAll(d.at, 0o777)); err != nil {
		return nil, err
	}
	if err := command("mkfs.ext4", "-q", d.image); err != nil {
		return nil, fmt.Errorf("%w (%w)", errNoPower, err)
	}
	if err := d.mount(); err != nil {
		return nil, fmt.Errorf("%w (%w)", errNoPower, err)
	}
	return d, nil
}

func (d *disk) mount() error   { return command("mount", "-o", "loop", d.image, d.at) }
func (d *disk) unmount() error { return command("umount", d.at) }

// copyMedium copies what the medium holds now, as another one: what programs and the
// kernel have not written to it yet is not there. It is copied until it stands still, for
// a medium that is copied while it changes is none that ever was.
func (d *disk) copyMedium(to string) error {
	var last uint32
	for i := range 20 {
		sum, err := copySparsely(d.image, to)
		if err != nil {
			return err
		}
		if i > 0 && sum == last {
			return nil
		}
		last = sum
	}
	return errors.New("the disk does not come to rest")
}

var table = crc32.MakeTable(crc32.Castagnoli)

func copySparsely(from, to string) (sum uint32, err error) {
	in, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	buf, zero := make([]byte, 64<<10), make([]byte, 64<<10)
	for at := int64(0); ; {
		n, err := io.ReadFull(in, buf)
		if n == 0 && errors.Is(err, io.EOF) {
			return sum, out.Truncate(at)
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return sum, err
		}
		sum = crc32.Update(sum, table, buf[:n])
		if string(buf[:n]) != string(zero[:n]) {
			if _, err := out.WriteAt(buf[:n], at); err != nil {
				return sum, err
			}
		}
		at += int64(n)
	}
}

// powerReport is the line that is printed.
type powerReport struct {
	*report
	Images   int    `json:"images"` // mounted as the power loss had left them
	Promised int    `json:"files_promised"`
	Durable  uint64 `json:"epochs_promised"`
}

// losePower lets the disk on which a job has its state and its output lose power again
// and again.
func (s schedule) losePower(dir string) (res *powerReport, err error) {
	begun := time.Now()
	r := rand.New(rand.NewPCG(s.Seed, 6))
	res = &powerReport{report: &report{Engine: "millrace", Mode: "power", State: s.State, Users: s.Users, Seed: s.Seed, Phases: map[phase]int{}}}
	d, err := newDisk(dir)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, d.unmount()) }()
	t := s.task(filepath.Join(d.at, "state"), filepath.Join(d.at, "out"))
	t.Tell = true
	promised := map[string]int64{}
	for res.Images < s.Kills {
		if s.Rescale {
			t.Lanes = 1 + r.IntN(4)
		}
		life := delay(r, s.Longest)
		t.Limit += uint64(life.Seconds()*s.Rate) + splits
		p, err := start(t)
		if err != nil {
			return res, err
		}
		select {
		case <-p.isOpen:
		case <-p.ended:
		}
		select {
		case <-time.After(life):
		case <-p.ended:
		}
		if err := p.freeze(); err != nil {
			_, e := p.kill()
			return res, cmp.Or(e, err) // the job's own, if it has one
		}
		next := &disk{filepath.Join(dir, fmt.Sprint("disk-", res.Images+1)), d.at}
		err = d.copyMedium(next.image)
		at, e := p.kill()
		if err := errors.Join(err, e); err != nil {
			return res, fmt.Errorf("start %d: %w", res.Images, err)
		}
		if p.firstDurable > 0 && p.firstDurable <= res.Durable {
			return res, fmt.Errorf("epoch %d was durable, and the run has gone on with epoch %d", res.Durable, p.firstDurable)
		}
		res.Durable = max(res.Durable, p.durable)
		maps.Copy(promised, p.files)
		res.Images++
		res.Phases[at]++
		res.add(p)
		if err := errors.Join(d.unmount(), os.Remove(d.image), next.mount()); err != nil {
			return res, err
		}
		*d = *next
		now, err := shownFiles(t.Out)
		if err == nil {
			err = stillThere(promised, now)
		}
		if err != nil {
			return res, fmt.Errorf("behind power loss %d: %w", res.Images, err)
		}
	}
	res.Promised = len(promised)
	t.Ends, t.Rate = true, 0
	p, err := start(t)
	if err != nil {
		return res, err
	}
	if err := p.wait(); err != nil {
		return res, err
	}
	if p.firstDurable <= res.Durable {
		return res, fmt.Errorf("epoch %d was durable, and the run has gone on with epoch %d", res.Durable, p.firstDurable)
	}
	res.add(p)
	res.Kills, res.Restarts, res.Events = res.Images, res.Images, t.Limit
	if err := res.compare(dir, t, promised); err != nil {
		return res, err
	}
	res.Seconds = time.Since(begun).Seconds()
	return res, nil
}
