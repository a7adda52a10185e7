package distributed

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/natsbus"
)

// served are the flags of the command serve.
type served struct {
	listen  string
	dir     string
	cluster string
	durable string
}

func (s *served) register(fs *flag.FlagSet) {
	fs.StringVar(&s.listen, "listen", "", "address for jobs, as 10.0.0.5:4222; what goes there is encrypted, by a key that is made of the token")
	fs.StringVar(&s.dir, "dir", "", "folder for what jobs keep")
	fs.StringVar(&s.cluster, "cluster", "", "addresses at which the servers of a cluster reach each other, as n1:6222,n2:6222,n3:6222; the one whose host is that of -listen, or this machine's name, is this server's")
	fs.StringVar(&s.durable, "durable", "crash", "what the server keeps its word over: crash (of processes) or power (it syncs before it answers)")
}

// config is the server that the flags ask for, by a token.
func (s *served) config(token, hostname string) (cfg natsbus.ServerConfig, err error) {
	switch {
	case token == "":
		return cfg, wrong("listen", "set %s to the token of the jobs that this server is for", joinToken)
	case !isAddress(s.listen):
		return cfg, wrong("listen", "%q: want a host and a port, as 10.0.0.5:4222", s.listen)
	case s.dir == "":
		return cfg, wrong("dir", "give a folder for what jobs keep")
	case s.durable != "crash" && s.durable != "power":
		return cfg, wrong("durable", "%q: want crash or power", s.durable)
	}
	host, port, _ := net.SplitHostPort(s.listen) // it was looked at
	cfg = natsbus.ServerConfig{Host: host, Dir: s.dir, Guard: true, Token: natsSecret(token), SyncAlways: s.durable == "power"}
	cfg.Port, _ = strconv.Atoi(port)
	if cfg.TLS, err = natsbus.ServerByToken(token); err != nil {
		return cfg, err
	}
	if s.cluster == "" {
		return cfg, nil
	}
	peers := strings.Split(s.cluster, ",")
	var own []string
	for _, p := range peers {
		if !isAddress(p) {
			return cfg, wrong("cluster", "%q: want a host and a port, as n1:6222, several of them between commas", p)
		}
		if h, _, _ := net.SplitHostPort(p); h == host || h == hostname || strings.HasPrefix(h, hostname+".") {
			own = append(own, p)
		}
	}
	if len(own) != 1 || len(slices.Compact(slices.Sorted(slices.Values(peers)))) != len(peers) {
		return cfg, wrong("cluster", "%s: want each server once, and of them one whose host is that of -listen, %s, or this machine's name, %s", s.cluster, host, hostname)
	}
	cfg.Cluster = &natsbus.ClusterConfig{Addr: own[0], Peers: peers, Secret: natsSecret(natsSecret(token))}
	cfg.Cluster.TLS, err = natsbus.RoutesByToken("", token)
	return cfg, err
}

// serve runs a NATS server in this process until ctx ends: jobs with its token use it by -nats.
func (p *process) serve(ctx context.Context, _ []string, out, errs io.Writer) error {
	s := &p.asked.served
	hostname, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("the name of this machine: %w", err)
	}
	cfg, err := s.config(os.Getenv(joinToken), hostname)
	if err != nil {
		return err
	}
	cfg.Log = slog.New(slog.NewTextHandler(errs, &slog.HandlerOptions{Level: slog.LevelWarn}))
	server, err := natsbus.StartServer(ctx, cfg)
	if err != nil {
		return err
	}
	defer server.Close()
	fmt.Fprintf(out, "serving jobs at tls://%s\n", s.listen)
	<-ctx.Done()
	return nil
}
