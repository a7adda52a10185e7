package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// A Client speaks with one cluster. All its methods may be called at once. It
// opens as many connections to a broker as there are requests to it at one time,
// and keeps those that are idle for a minute.
type Client struct {
	cfg    Config
	nextID atomic.Int32 // of requests
	turn   atomic.Int32 // which broker is asked first
	done   chan struct{}

	mu           sync.Mutex // guards what follows; never held over I/O
	closed       bool
	brokers      map[string]*broker // by address
	addrs        map[int32]string   // of broker ids
	cluster      string
	controller   int32
	topics       map[string]*known
	coordinators map[coordinated]int32
	refresh      *refresh
}

// New checks cfg and makes a client of it. It connects when it is first used.
func New(cfg Config) (*Client, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if _, ok := cfg.SASL.(*mechanism); !ok && cfg.SASL != nil {
		cfg.SASL = &mechanism{cfg.SASL} // a pointer, whose insides no %+v of ours shows
	}
	return &Client{
		cfg:          cfg,
		done:         make(chan struct{}),
		brokers:      map[string]*broker{},
		addrs:        map[int32]string{},
		topics:       map[string]*known{},
		coordinators: map[coordinated]int32{},
		controller:   -1,
	}, nil
}

// Close closes all connections: calls that wait return ErrClosed. Closing twice is
// allowed.
func (c *Client) Close() {
	c.mu.Lock()
	var bs []*broker
	if !c.closed {
		close(c.done)
	}
	c.closed = true
	for _, b := range c.brokers {
		bs = append(bs, b)
	}
	c.mu.Unlock()
	for _, b := range bs {
		b.close()
	}
}

// String names the brokers, and shows no secret.
func (c *Client) String() string { return c.cfg.String() }

// GoString is String.
func (c *Client) GoString() string { return c.String() }

// Format is String for every verb.
func (c *Client) Format(f fmt.State, _ rune) { fmt.Fprint(f, c.String()) }

func (c *Client) isClosed() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// at returns the broker of an address, which is made if it is new.
func (c *Client) at(address string) (*broker, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	b := c.brokers[address]
	if b == nil {
		b = newBroker(c, address)
		c.brokers[address] = b
	}
	return b, nil
}

// broker returns the broker of an id; a metadata request finds those that are not
// known yet.
func (c *Client) broker(ctx context.Context, a api, id int32) (*broker, error) {
	for asked := false; ; asked = true {
		c.mu.Lock()
		address, ok := c.addrs[id]
		c.mu.Unlock()
		if ok {
			return c.at(address)
		}
		if asked {
			break
		}
		if err := c.Refresh(ctx); err != nil {
			return nil, err
		}
	}
	return nil, &Error{Code: 8, Op: a.name, Partition: -1, Detail: fmt.Sprintf("broker %d is not in the cluster's metadata", id)}
}

// candidates are the addresses of brokers that can be asked anything, each once, in
// an order that turns.
func (c *Client) candidates() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var known, all []string
	seen := map[string]bool{}
	for _, address := range c.addrs {
		if !seen[address] {
			seen[address] = true
			known = append(known, address)
		}
	}
	rand.Shuffle(len(known), func(i, j int) { known[i], known[j] = known[j], known[i] })
	turn := int(uint32(c.turn.Load()))
	for i := range c.cfg.Brokers {
		if s := c.cfg.Brokers[(turn+i)%len(c.cfg.Brokers)]; !seen[s] {
			seen[s] = true
			all = append(all, s)
		}
	}
	return append(known, all...)
}

// anywhere runs f with one broker after the other until one answers.
func (c *Client) anywhere(ctx context.Context, a api, f func(context.Context, *broker) error) error {
	var errs []error
	for _, address := range c.candidates() {
		b, err := c.at(address)
		if err != nil {
			return err
		}
		err = c.attempt(ctx, func(ctx context.Context) error { return f(ctx, b) })
		if e, ok := errors.AsType[*Error](err); !ok || e.Code != CodeNetwork {
			return err
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
		c.turn.Add(1)
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return &Error{Code: CodeNetwork, Op: a.name, Partition: -1, Err: fmt.Errorf("no broker can be reached: %w", errors.Join(errs...))}
}

// attempt gives f a part of the time that a call may take, so that one broker that
// hangs does not use up all of it.
func (c *Client) attempt(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.RequestTimeout/3)
	defer cancel()
	return f(ctx)
}

// sleep waits for d, or until ctx or the client ends.
func (c *Client) sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.done:
		return ErrClosed
	}
}
