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
	Name string // in routes and log lines, not two of one name in a mesh; default: one by chance
	Host string // to listen on; default 127.0.0.1
	Port int    // default: one that the system chooses, see [Server.URL]

	Mesh *MeshConfig // servers of other processes; default: this one is alone

	Dir        string // folder of JetStream; default: none, and nothing can be kept
	StorePort  int    // of JetStream where Mesh is set, too; default: one that the system chooses
	SyncAlways bool   // sync before anything is acknowledged: for what a power failure must not take; default: every 2 minutes
	StoreMax   int64  // most bytes of JetStream in the folder; default: three quarters of what is free
	MemoryMax  int64  // most bytes of JetStream in memory; default 64 MiB

	PayloadMax int32 // most bytes of a message; default 8 MiB
	PendingMax int64 // most bytes that wait for one connection before it is cut; default 256 MiB

	User, Password string      // clients have to know them; default: anybody may connect
	Token          string      // the same, instead of a user
	TLS            *tls.Config // of clients and routes; default: none

	Log *slog.Logger // default: nothing is logged
}

// MeshConfig says how servers find each other. A server that has found one finds
// those that this one knows.
type MeshConfig struct {
	Port   int      // for other servers; default: one that the system chooses, see [Server.MeshAddr]
	Peers  []string // addresses of others, as [Server.MeshAddr] gives them; one that lives is enough
	Secret string   // all of a mesh have the same one
}

// Server is a NATS server in this process. In a mesh it is two: messages are routed
// by one, and JetStream is in another that stands alone, because JetStream of servers
// with routes is clustered, and a stream would no longer be of exactly one of them.
type Server struct {
	route, store *server.Server // store is route without a mesh, nil without a folder
	unlock       func()
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
	s := &Server{unlock: func() {}}
	main := cfg.options()
	if cfg.Dir != "" {
		unlock, err := lockDir(cfg.Dir)
		if err != nil {
			return nil, err
		}
		s.unlock = unlock
	}
	var err error
	if cfg.Mesh != nil {
		if err = cfg.mesh(main); err == nil && cfg.Dir != "" {
			keep := cfg.options()
			keep.Port = port(cfg.StorePort)
			if cfg.Name != "" {
				keep.ServerName += "-store"
			}
			cfg.jetStream(keep)
			s.store, err = start(ctx, keep, cfg.Log)
		}
	} else if cfg.Dir != "" {
		cfg.jetStream(main)
	}
	if err == nil {
		s.route, err = start(ctx, main, cfg.Log)
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("start a NATS server on %s: %w", net.JoinHostPort(main.Host, strconv.Itoa(cfg.Port)), err)
	}
	if cfg.Mesh == nil && cfg.Dir != "" {
		s.store = s.route
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

func (c *ServerConfig) mesh(o *server.Options) error {
	o.Cluster = server.ClusterOpts{
		Name: "millrace", Host: o.Host, Port: port(c.Mesh.Port),
		Compression: server.CompressionOpts{Mode: server.CompressionOff},
	}
	if c.TLS != nil {
		o.Cluster.TLSConfig, o.Cluster.TLSTimeout = c.TLS, 5
	}
	var user *url.Userinfo
	if c.Mesh.Secret != "" {
		o.Cluster.Username, o.Cluster.Password = "mesh", c.Mesh.Secret
		user = url.UserPassword(o.Cluster.Username, c.Mesh.Secret)
	}
	for _, peer := range c.Mesh.Peers {
		if _, _, err := net.SplitHostPort(peer); err != nil {
			return fmt.Errorf("peer %q is not a host and a port: %w", peer, err)
		}
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", User: user, Host: peer})
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

// URL is where clients connect for messages. It holds no password.
func (s *Server) URL() string { return s.route.ClientURL() }

// StoreURL is where clients connect for what is kept, empty without JetStream.
func (s *Server) StoreURL() string {
	if s.store == nil {
		return ""
	}
	return s.store.ClientURL()
}

// MeshAddr is what other servers name as a peer, empty for a server without a mesh.
func (s *Server) MeshAddr() string {
	if a := s.route.ClusterAddr(); a != nil {
		return a.String()
	}
	return ""
}

// Peers is how many other servers this one is connected to.
func (s *Server) Peers() int { return s.route.NumRemotes() }

// Close ends the server and all connections to it, and returns when its files are closed.
func (s *Server) Close() {
	for _, each := range []*server.Server{s.route, s.store} {
		if each != nil {
			each.Shutdown()
			each.WaitForShutdown()
		}
	}
	s.unlock()
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
