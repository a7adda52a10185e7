package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"syscall"

	"github.com/millrace/millrace/internal/savefile"
)

// ErrNotRunning is what a call fails with when no job answers in the folder.
var ErrNotRunning = errors.New("no job is running there")

// Client talks to a running job.
type Client struct {
	http  http.Client
	base  string
	token string
}

// In is a client of the job that runs in the folder dir. Nothing is opened before a call.
func In(dir string) *Client {
	return &Client{base: "http://localhost", http: http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			c, err := dial(dir)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
				return nil, fmt.Errorf("%w (%v)", ErrNotRunning, err)
			}
			return c, err
		},
		DisableKeepAlives: true,
	}}}
}

// At is a client of the job that listens on a TCP address.
func At(address, token string) *Client {
	return &Client{base: "http://" + address, token: token, http: http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
}

// Status is who runs, and the runner's account of it.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	err = c.call(ctx, http.MethodGet, "/status", &s)
	return s, err
}

// Savepoints lists the savepoints in the job's folder.
func (c *Client) Savepoints(ctx context.Context) (list []savefile.Info, err error) {
	err = c.call(ctx, http.MethodGet, "/savepoints", &list)
	return list, err
}

// Savepoint makes a savepoint and returns its path when it is durable. The job gives
// it a name for "".
func (c *Client) Savepoint(ctx context.Context, name string) (path string, err error) {
	var m made
	err = c.call(ctx, http.MethodPost, "/savepoint?name="+url.QueryEscape(name), &m)
	return m.Path, err
}

const answerMax = 16 << 20 // bytes

func (c *Client) call(ctx context.Context, method, path string, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, nil)
	if err != nil {
		return err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the address, which is made up
		}
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, answerMax))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if res.StatusCode != http.StatusOK {
		var f failure
		if json.Unmarshal(b, &f) != nil || f.Error == "" {
			return fmt.Errorf("%s %s: %s", method, path, res.Status)
		}
		return errors.New(f.Error)
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("%s %s: the answer is not what a job says: %w", method, path, err)
	}
	return nil
}
