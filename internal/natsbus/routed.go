package natsbus

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// RoutedConfig configures [ListenRouted]. The zero value of each field means its default.
type RoutedConfig struct {
	Job   string // name of the job; has to be given
	Token string // secret that all processes of the job share; has to be given
	Name  string // of this process, and never of another one; has to be given

	Host string // to listen on; default 127.0.0.1
	Port int    // default: one that the system chooses, see [Routed.Addr]

	// Encrypt lets both ends of a route show a certificate that is made of the token. Without
	// it who dials shows a secret that is, and believes whoever listens there. All have to
	// want it.
	Encrypt bool

	// Settle is for how long Listen waits at most until the other processes know that somebody
	// listens; default 200 ms: what is lost then is soon sent again.
	Settle time.Duration

	// Unreached is called, on a goroutine of its own, when there was no route to an address
	// for UnreachedAfter (default 3 s: who has died is missed by then), once until there is
	// one; may be nil.
	Unreached      func(addr string, err error)
	UnreachedAfter time.Duration

	Instead Plane // gets frames to such an address as well, and who listens hears it, too; default: they wait

	Log *slog.Logger // default: nothing is logged
}

// Routed is a [Plane] over a NATS server in this process, which has a route to that of each
// other process. Who these are it has to be told. NATS knows who listens where.
//
// Of two processes the one whose name comes first dials: where both do, NATS may drop both
// connections, and tries again a second later. Servers that tell each other of third ones
// (gossip) would dial these as well; they tell them an address at which nobody but the
// server that hears of it is, and no server dials itself.
type Routed struct {
	Plane
	cfg    RoutedConfig
	bus    *Bus
	server *server.Server
	addr   string
	opts   server.Options  // as the server was started; copies are given away
	ctx    context.Context // ends with Close
	close  context.CancelFunc
	all    sync.WaitGroup // everything that runs
	wake   chan struct{}  // has a token when peers have changed

	mu     sync.Mutex        // guards what follows
	peers  map[string]string // addresses of other processes by name; replaced, not changed
	routes map[int][]string  // addresses at which slots are heard
	far    map[string]bool   // addresses to which there was no route for UnreachedAfter

	away atomic.Pointer[map[int]bool] // slots that are heard at such an address; nil: none
}

var _ Plane = (*Routed)(nil)

// nowhere is an address that each server takes for its own.
const nowhere = "localhost:1"

// ListenRouted begins to listen. The caller has to close it.
func ListenRouted(ctx context.Context, cfg RoutedConfig) (*Routed, error) {
	if cfg.Job == "" || cfg.Token == "" || cfg.Name == "" {
		return nil, errors.New("listen for routes: the job has no name or no token, or this process no name")
	}
	if cfg.Host == "" {
		cfg.Host = "127.0.0.1"
	}
	if cfg.Settle == 0 {
		cfg.Settle = 200 * time.Millisecond
	}
	if cfg.UnreachedAfter == 0 {
		cfg.UnreachedAfter = 3 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	r := &Routed{cfg: cfg, bus: &Bus{job: cfg.Job}, wake: make(chan struct{}, 1), routes: map[int][]string{}}
	if err := r.start(ctx); err != nil {
		return nil, fmt.Errorf("listen for routes on %s: %w", net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)), err)
	}
	r.ctx, r.close = context.WithCancel(context.Background())
	r.all.Go(r.run)
	return r, nil
}

// start starts the server, and connects to it.
func (r *Routed) start(ctx context.Context) (err error) {
	// A server that listens for no clients has no routes either. Nobody else knows the token.
	client := Config{Job: r.cfg.Job, Token: rand.Text(), Log: r.cfg.Log}
	r.opts = *(&ServerConfig{Name: r.cfg.Name, Token: client.Token}).options()
	r.opts.Cluster = server.ClusterOpts{
		Name: "millrace", Host: r.cfg.Host, Port: port(r.cfg.Port), Advertise: nowhere, NoAdvertise: true,
		Username: r.cfg.Name, Password: r.secretOf(r.cfg.Name), AuthTimeout: 5,
		PoolSize:    -1, // one connection: who listens, and what is sent, comes one behind the other
		Compression: server.CompressionOpts{Mode: server.CompressionOff},
		// Who comes back gets no new route while the old one seems to be there.
		PingInterval: 2 * time.Second, MaxPingsOut: 2,
	}
	if r.cfg.Encrypt {
		if r.opts.Cluster.TLSConfig, err = RoutesByToken(r.cfg.Job, r.cfg.Token); err != nil {
			return err
		}
		r.opts.Cluster.TLSTimeout = 5
	}
	opts := r.opts
	if r.server, err = start(ctx, &opts, r.cfg.Log); err != nil {
		return err
	}
	r.addr = r.server.ClusterAddr().String()
	nc, err := client.dial("routed", inProcess{r.server}, &r.bus.count, nats.WriteBufferSize(256<<10))
	if err == nil {
		r.bus.data, r.bus.control, r.Plane = nc, nc, r.bus.Plane()
		_, err = listen(nc, r.door(r.cfg.Name), "", func(m *nats.Msg) { _ = m.Respond(nil) }) // what is lost is asked for again
	}
	if err != nil {
		r.shutdown()
	}
	return err
}

// secretOf is what a process wants to know of who dials it. Who listens in its place is told
// nothing that opens another one.
func (r *Routed) secretOf(name string) string {
	mac := hmac.New(sha256.New, []byte(r.cfg.Token))
	fmt.Fprintf(mac, "route %d %s %s", len(r.cfg.Job), r.cfg.Job, name)
	return hex.EncodeToString(mac.Sum(nil))
}

// door is where a process answers that it is there.
func (r *Routed) door(name string) string { return r.bus.subject("door", token(name)) }

// Addr is where others dial this process.
func (r *Routed) Addr() string { return r.addr }

// Close ends all routes. What waits to be sent is lost. Functions that listen are not called
// afterwards, but one may still be running.
func (r *Routed) Close() {
	r.close()
	r.all.Wait()
	r.shutdown()
}

func (r *Routed) shutdown() {
	if r.bus.data != nil {
		r.bus.Close()
	}
	r.server.Shutdown()
	r.server.WaitForShutdown()
}

// Peers says which processes there are, this one or not, and where each listens. Routes to
// others end, and are tried no more.
func (r *Routed) Peers(addrs map[string]string) {
	peers := maps.Clone(addrs)
	delete(peers, r.cfg.Name)
	r.mu.Lock()
	same := maps.Equal(peers, r.peers)
	r.peers = peers
	r.mu.Unlock()
	if same {
		return
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Route says at which addresses a slot is heard. NATS knows that by itself: it is for frames
// that go another way while there is no route to one of these.
func (r *Routed) Route(slot int, addrs ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.routes[slot] = addrs
	r.detour()
}

// detour notes which slots are heard at addresses that are not reached. r.mu is held.
func (r *Routed) detour() {
	var away map[int]bool
	for slot, addrs := range r.routes {
		if slices.ContainsFunc(addrs, func(a string) bool { return r.far[a] }) {
			if away == nil {
				away = map[int]bool{}
			}
			away[slot] = true
		}
	}
	if away == nil {
		r.away.Store(nil)
		return
	}
	r.away.Store(&away)
}

// Send implements [Plane].
func (r *Routed) Send(slot int, frame []byte) error {
	err := r.Plane.Send(slot, frame)
	if away := r.away.Load(); err == nil && away != nil && (*away)[slot] && r.cfg.Instead != nil {
		err = r.cfg.Instead.Send(slot, frame)
	}
	return err
}

func (r *Routed) known() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.peers
}

// Missing is how many processes there are to which there is no route.
func (r *Routed) Missing() int { return len(r.missing()) }

// missing are the addresses of such processes, by name.
func (r *Routed) missing() map[string]string {
	list := maps.Clone(r.known())
	routes, err := r.server.Routez(nil)
	if err != nil { // of options that we don't give
		panic("BUG: natsbus: " + err.Error())
	}
	for _, route := range routes.Routes {
		delete(list, route.RemoteName)
	}
	return list
}

// run lets routes follow peers, and looks after them, until Close.
func (r *Routed) run() {
	look := time.NewTicker(r.cfg.UnreachedAfter / 10)
	defer look.Stop()
	since := map[string]time.Time{}
	for {
		select {
		case <-r.wake:
			r.dialPeers()
		case now := <-look.C:
			missing := r.missing()
			maps.DeleteFunc(since, func(name string, _ time.Time) bool { _, ok := missing[name]; return !ok })
			far := map[string]bool{}
			for name, addr := range missing {
				if since[name].IsZero() {
					since[name] = now
				}
				if now.Sub(since[name]) > r.cfg.UnreachedAfter {
					far[addr] = true
				}
			}
			for addr := range r.miss(far) {
				r.all.Go(func() { r.tell(addr) })
			}
		case <-r.ctx.Done():
			return
		}
	}
}

// miss notes to which addresses there is no route, and returns those to which there was one.
func (r *Routed) miss(far map[string]bool) (news map[string]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if maps.Equal(r.far, far) {
		return nil
	}
	news = maps.Clone(far)
	maps.DeleteFunc(news, func(addr string, _ bool) bool { return r.far[addr] })
	r.far = far
	r.detour()
	return news
}

// dialPeers gives the server the routes that it is to have.
func (r *Routed) dialPeers() {
	opts := r.opts // with the same TLSConfig: another one would be a change
	for name, addr := range r.known() {
		if r.cfg.Name < name {
			// The path lets a process that comes in the place of another one, at its address, be a new one.
			opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats-route", User: url.UserPassword(name, r.secretOf(name)), Host: addr, Path: "/" + name})
		}
	}
	if err := r.server.ReloadOptions(&opts); err != nil && r.ctx.Err() == nil {
		panic("BUG: natsbus: " + err.Error())
	}
}

// tell says that an address is not reached, and why.
func (r *Routed) tell(addr string) {
	err := r.probe(addr)
	r.cfg.Log.Warn("there is no route", "job", r.cfg.Job, "to", addr, "err", err)
	if r.cfg.Unreached != nil && r.ctx.Err() == nil {
		r.cfg.Unreached(addr, err)
	}
}

// probe looks for the reason that there is no route to an address.
func (r *Routed) probe(addr string) error {
	ctx, cancel := context.WithTimeout(r.ctx, dialMax)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if c := r.opts.Cluster.TLSConfig; c != nil {
		if err := tls.Client(conn, c).HandshakeContext(ctx); err != nil {
			return fmt.Errorf("it is no process of this job: %w", err)
		}
	}
	return errors.New("it answers, and there is no route yet")
}

// Listen calls fn for each frame to slot. When it returns, processes to which there is a route
// know that, and where they listen is known here, unless that takes longer than Settle: frames
// that were sent before are lost.
func (r *Routed) Listen(slot int, fn func(frame []byte)) (stop func(), err error) {
	e := &ear{fn: fn}
	forget, err := e.listenTo(r.cfg.Instead, slot)
	if err != nil {
		return nil, err
	}
	own, err := r.Plane.Listen(slot, e.hear)
	if err != nil {
		forget()
		return nil, err
	}
	r.settle()
	return func() { own(); forget() }, nil
}

// settle asks each other process whether it is there. The question follows what was to be known
// there, over the same connection, and the answer what is to be known here.
func (r *Routed) settle() {
	ctx, cancel := context.WithTimeout(r.ctx, r.cfg.Settle)
	defer cancel()
	var asks sync.WaitGroup
	for name := range r.known() {
		asks.Go(func() {
			for {
				_, err := r.bus.data.RequestWithContext(ctx, r.door(name), nil)
				if !errors.Is(err, nats.ErrNoResponders) { // it has answered, or this takes too long
					return
				}
				select {
				case <-time.After(redialMin / 4):
				case <-ctx.Done():
					return
				}
			}
		})
	}
	asks.Wait()
}
