package natsbus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/filelock"
	"github.com/nats-io/nats-server/v2/server"
)

// ServerConfig configures [StartServer]. The zero value of each field means its
// default.
type ServerConfig struct {
	Name string // in log lines; default: one by chance
	Host string // to listen on; default 127.0.0.1
	Port int    // default: one that the system chooses, see [Server.URL]

	Cluster *ClusterConfig // servers that keep things together; default: this one is alone

	Dir        string // folder of JetStream; default: none, and nothing can be kept
	SyncAlways bool   // sync before anything is acknowledged: for what a power failure must not take; default: every 2 minutes
	Guard      bool   // refuse a folder that may have lost what was acknowledged, see [ErrPower]
	StoreMax   int64  // most bytes of JetStream in the folder; default: three quarters of what is free
	MemoryMax  int64  // most bytes of JetStream in memory; default 64 MiB

	PayloadMax int32 // most bytes of a message; default 8 MiB
	PendingMax int64 // most bytes that wait for one connection before it is cut; default 256 MiB

	User, Password string      // clients have to know them; default: anybody may connect
	Token          string      // the same, instead of a user
	TLS            *tls.Config // of clients; default: none

	Log *slog.Logger // default: nothing is logged
}

// ClusterConfig makes one cluster of several servers: what is created with so many replicas
// (see [Config]) is kept by so many of them, and survives the loss of less than half of those.
// A cluster of three keeps going when one of its servers is gone, and that one may come back
// with an empty folder.
type ClusterConfig struct {
	Addr   string      // host and port at which the others reach this server, which listens on Host; it is also its name, and has to stay the same
	Peers  []string    // addresses of all of the cluster; its own may be among them
	Secret string      // all of a cluster have the same one
	TLS    *tls.Config // of both ends; default: none
}

// Server is a NATS server in this process.
type Server struct {
	of    *server.Server
	leave func() error // the folder
	log   *slog.Logger
}

const startMax = 10 * time.Second // for a server to listen, with streams to be read

// StartServer starts a server and returns when it accepts connections. The caller
// has to close it.
func StartServer(ctx context.Context, cfg ServerConfig) (*Server, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.User != "" && cfg.Token != "" {
		return nil, errors.New("start a NATS server: its clients show either a user or a token")
	}
	s := &Server{leave: func() error { return nil }, log: cfg.Log}
	o := cfg.options()
	var err error
	if cfg.Dir != "" {
		if s.leave, err = cfg.enter(); err != nil {
			return nil, err
		}
		cfg.jetStream(o)
	}
	if cfg.Cluster != nil {
		err = cfg.Cluster.configure(o)
	}
	if err == nil {
		s.of, err = start(ctx, o, cfg.Log)
	}
	if err != nil {
		err = errors.Join(err, s.leave())
		return nil, fmt.Errorf("start a NATS server on %s: %w", net.JoinHostPort(o.Host, strconv.Itoa(cfg.Port)), err)
	}
	return s, nil
}

// options are those of a server that is alone and keeps nothing.
func (c *ServerConfig) options() *server.Options {
	o := &server.Options{
		ServerName: c.Name, Host: c.Host, Port: port(c.Port),
		NoSigs: true, MaxPayload: c.PayloadMax, MaxPending: c.PendingMax,
		Username: c.User, Password: c.Password, Authorization: c.Token,
	}
	if c.TLS != nil {
		o.TLS, o.TLSConfig, o.TLSTimeout = true, c.TLS, 5
	}
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	if o.MaxPayload == 0 {
		o.MaxPayload = 8 << 20
	}
	if o.MaxPending == 0 {
		o.MaxPending = 256 << 20
	}
	return o
}

func (c *ServerConfig) jetStream(o *server.Options) {
	o.JetStream, o.StoreDir, o.DisableJetStreamBanner = true, c.Dir, true
	o.JetStreamMaxStore, o.JetStreamMaxMemory, o.SyncAlways = c.StoreMax, c.MemoryMax, c.SyncAlways
	if o.JetStreamMaxMemory == 0 {
		o.JetStreamMaxMemory = 64 << 20
	}
}

func (c *ClusterConfig) configure(o *server.Options) error {
	for _, addr := range append([]string{c.Addr}, c.Peers...) {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return fmt.Errorf("the address %q in a cluster is not a host and a port: %w", addr, err)
		}
	}
	_, text, _ := net.SplitHostPort(c.Addr)
	number, err := strconv.Atoi(text)
	if err != nil || number <= 0 {
		return fmt.Errorf("the address %q in a cluster has no number of a port", c.Addr)
	}
	o.ServerName = c.Addr
	o.Cluster = server.ClusterOpts{
		Name: "millrace", Host: o.Host, Port: number, Advertise: c.Addr, Username: "cluster", Password: c.Secret,
		Compression: server.CompressionOpts{Mode: server.CompressionOff},
	}
	if c.TLS != nil {
		o.Cluster.TLSConfig, o.Cluster.TLSTimeout = c.TLS, 5
	}
	for _, peer := range c.Peers {
		if peer != c.Addr {
			o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", User: url.UserPassword(o.Cluster.Username, c.Secret), Host: peer})
		}
	}
	return nil
}

// port is p as the server wants it: -1 for one that the system chooses.
func port(p int) int {
	if p == 0 {
		return server.RANDOM_PORT
	}
	return p
}

func start(ctx context.Context, o *server.Options, log *slog.Logger) (*server.Server, error) {
	s, err := server.NewServer(o)
	if err != nil {
		return nil, err
	}
	lines := &serverLog{log: log}
	s.SetLoggerV2(lines, false, false, false)
	s.Start()
	wait, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	for !s.ReadyForConnections(50 * time.Millisecond) {
		why := lines.fatal.Load()
		if why == nil && wait.Err() == nil {
			continue
		}
		s.Shutdown()
		s.WaitForShutdown()
		if why != nil {
			return nil, errors.New(*why)
		}
		return nil, fmt.Errorf("it did not begin to listen: %w", context.Cause(wait))
	}
	return s, nil
}

// URL is where clients connect. It holds no password.
func (s *Server) URL() string { return s.of.ClientURL() }

// Close ends the server and all connections to it, and returns when its files are closed.
func (s *Server) Close() {
	s.of.Shutdown()
	s.of.WaitForShutdown()
	if err := s.leave(); err != nil { // the next server will say so
		s.log.Error("nats: what is kept could not be synced", "err", err)
	}
}

// enter makes the folder this server's, until leave.
func (c *ServerConfig) enter() (leave func() error, err error) {
	unlock, err := lockDir(c.Dir)
	if err != nil {
		return nil, err
	}
	synced := func() error { return nil }
	if c.Guard {
		synced, err = guard(c.Dir, c.SyncAlways)
	}
	if err != nil {
		unlock()
		return nil, err
	}
	return func() error {
		defer unlock()
		return synced()
	}, nil
}

// lockDir makes sure that one process has the folder: JetStream doesn't, and a worker
// that was taken for dead would write to the files of its successor.
func lockDir(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("folder of the NATS server: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "LOCK"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("folder of the NATS server: %w", err)
	}
	ok, err := filelock.Lock(f)
	if err == nil && !ok {
		err = fmt.Errorf("another process runs a NATS server in the folder %s", dir)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}
