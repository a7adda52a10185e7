package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// writeSamples prints one line for each contender.
func writeSamples(w io.Writer, samples []sample) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "engine\truns\tM events/s\tCPU ns/event\tpeak MiB\tresult\t")
	for _, s := range samples {
		verdict := "as expected"
		if s.err != nil {
			verdict = "FAILED"
		}
		fmt.Fprintf(t, "%s\t%d\t%.2f\t%.1f\t%.0f\t%s\t\n", s.label(), len(s.results), s.rate()/1e6, s.cpuNs(), s.rss(), verdict)
	}
	t.Flush()
	for _, s := range samples {
		if s.err != nil {
			fmt.Fprintln(w, s.err)
		}
	}
}

// writeRatios prints one line for each comparison.
func writeRatios(w io.Writer, ratios []ratio) {
	if len(ratios) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "comparison\tratio\tfloor\tgoal\tverdict")
	for _, r := range ratios {
		floor, goal := "-", "-"
		if r.verdict() != noLimit {
			floor, goal = fmt.Sprint(r.limit.floor), fmt.Sprint(r.limit.goal)
		}
		fmt.Fprintf(t, "%s\t%.2f\t%s\t%s\t%s\n", r.what, r.value, floor, goal, r.verdict())
	}
	t.Flush()
}

// machine says where and on what the figures were taken.
func machine(ctx context.Context, root string) string {
	commit := command(ctx, root, "git", "rev-parse", "--short=12", "HEAD")
	if command(ctx, root, "git", "status", "--porcelain") != "" {
		commit += " with changes"
	}
	return fmt.Sprintf("machine: %s, %d cores, %s, %s/%s, load %s\ncommit: %s, %s, %s",
		field("/proc/cpuinfo", "model name"), runtime.NumCPU(), field("/proc/meminfo", "MemTotal"), runtime.GOOS, runtime.GOARCH, load(),
		commit, command(ctx, root, "go", "env", "GOVERSION"), time.Now().UTC().Format(time.DateTime+" UTC"))
}

// command is what a command prints, or "unknown".
func command(ctx context.Context, dir, name string, args ...string) string {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// field is the value of the first line "name : value" of a file, or "unknown".
func field(file, name string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	return "unknown"
}

// load is the load average of the last minute: other programs' work is in the figures.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Fields(string(text))[0]
}
