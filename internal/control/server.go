package control

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/savefile"
)

// Config configures a [Server].
type Config struct {
	Dir        string // the job's folder, in which the socket is; "": no socket
	Savepoints string // folder that /savepoints lists; "": there are none

	// Address is where to listen for HTTP as well, "localhost:8080"; "": nowhere. It
	// must be of this machine alone, unless there is a Token.
	Address string
	// Token must then be sent along by whoever calls over Address: "Authorization: Bearer TOKEN".
	Token string

	Now func() time.Time // default time.Now
}

// Server answers for a job.
type Server struct {
	cfg     Config
	job     Job
	started time.Time
	socket  *socket
	tcp     net.Listener
}

// Listen opens the socket and the address of cfg; nothing is answered before Run. A
// socket that a dead process left is replaced: the caller holds the folder's lock.
func Listen(cfg Config, job Job) (*Server, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{cfg: cfg, job: job, started: cfg.Now()}
	if err := s.listen(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Server) listen() (err error) {
	if s.cfg.Address != "" {
		if s.tcp, err = net.Listen("tcp", s.cfg.Address); err != nil {
			return fmt.Errorf("control address: %w", err)
		}
		// What was bound counts, not what the address said.
		if ip := s.tcp.Addr().(*net.TCPAddr).IP; s.cfg.Token == "" && !ip.IsLoopback() {
			return fmt.Errorf("control address %s: others than this machine can reach it; give a token, or an address such as localhost:8080", s.cfg.Address)
		}
	}
	if s.cfg.Dir != "" {
		s.socket, err = listenIn(s.cfg.Dir)
	}
	return err
}

// Addr is the TCP address that is listened on; "" if none is.
func (s *Server) Addr() string {
	if s.tcp == nil {
		return ""
	}
	return s.tcp.Addr().String()
}

// Close lets go of what Listen opened; after Run that has happened already.
func (s *Server) Close() {
	if s.tcp != nil {
		s.tcp.Close()
	}
	if s.socket != nil {
		s.socket.Close()
		s.socket.remove()
	}
}

// Run answers until ctx ends; then calls that are under way see their contexts end,
// and it returns when they have returned. No goroutine of the server is left.
func (s *Server) Run(ctx context.Context) error {
	defer s.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	failed := make(chan error, 2)
	calls, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	serve := func(l net.Listener, h http.Handler) {
		srv := &http.Server{
			Handler:           h,
			ReadHeaderTimeout: 10 * time.Second,
			ReadTimeout:       30 * time.Second,
			MaxHeaderBytes:    16 << 10,
			BaseContext:       func(net.Listener) context.Context { return calls },
			ConnState: func(_ net.Conn, state http.ConnState) {
				switch state {
				case http.StateNew: // told by the goroutine that accepts, which wg counts
					wg.Add(1)
				case http.StateClosed: // told when the connection's calls have returned
					wg.Done()
				}
			},
		}
		wg.Go(func() {
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("control: %w", err)
			}
		})
		wg.Go(func() {
			<-calls.Done()
			last, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			if srv.Shutdown(last) != nil {
				srv.Close()
			}
		})
	}
	if s.socket != nil {
		serve(s.socket.Listener, s.handler())
	}
	if s.tcp != nil {
		serve(s.tcp, s.guard(s.handler()))
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	end()
	return err
}

// guard lets through what may come over TCP. Where there is no token, everybody on
// this machine may call, but no page that a browser of this machine shows.
func (s *Server) guard(h http.Handler) http.Handler {
	own := http.NewCrossOriginProtection().Handler(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.cfg.Token != "":
			if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+s.cfg.Token)) != 1 {
				w.Header().Set("WWW-Authenticate", "Bearer")
				fail(w, http.StatusUnauthorized, errors.New("the token is missing or wrong"))
				return
			}
		case !isLoopback(r.Host):
			// A name that a stranger's DNS points at this machine.
			fail(w, http.StatusForbidden, fmt.Errorf("host %q is not this machine's name for itself", r.Host))
			return
		}
		own.ServeHTTP(w, r)
	})
}

func isLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", s.status)
	mux.HandleFunc("GET /savepoints", s.savepoints)
	mux.HandleFunc("POST /savepoint", s.savepoint)
	return mux
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	job, err := json.Marshal(s.job.Status())
	if err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	answer(w, Status{os.Getpid(), s.started, job})
}

func (s *Server) savepoints(w http.ResponseWriter, _ *http.Request) {
	list := []savefile.Info{}
	if s.cfg.Savepoints != "" {
		found, err := savefile.List(s.cfg.Savepoints)
		if err != nil {
			fail(w, http.StatusInternalServerError, err)
			return
		}
		list = append(list, found...)
	}
	answer(w, list)
}

func (s *Server) savepoint(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("name")
	if name == "" {
		name = savefile.NameAt(s.cfg.Now())
	}
	if err := savefile.CheckName(name); err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	path, err := s.job.Savepoint(r.Context(), name)
	switch {
	case errors.Is(err, fs.ErrExist):
		fail(w, http.StatusConflict, fmt.Errorf("there is a savepoint %q already", name))
	case err != nil:
		fail(w, http.StatusInternalServerError, err)
	default:
		answer(w, made{name, path})
	}
}

func answer(w http.ResponseWriter, v any) { write(w, http.StatusOK, v) }

func fail(w http.ResponseWriter, status int, err error) { write(w, status, failure{err.Error()}) }

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) // who went away needs no answer
}
