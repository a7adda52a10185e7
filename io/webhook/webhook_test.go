package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/webhook"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest/connector"
	"github.com/millrace/millrace/runners/local"
)

// addresses hands on the newest address that a server has.
type addresses chan net.Addr

func (a addresses) listen() webhook.Option {
	return webhook.OnListen(func(addr net.Addr) {
		select {
		case <-a: // of a server that nobody asked for
		default:
		}
		a <- addr
	})
}

// post sends a body, and is the status and text of the answer. Its connection does
// not outlive it.
func post(ctx context.Context, addr, body string) (status int, text string, header http.Header, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/in", strings.NewReader(body))
	if err != nil {
		return 0, "", nil, err
	}
	req.Close = true
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, "", nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, strings.TrimSpace(string(b)), resp.Header, err
}

// deliver sends bodies as a careful sender does, each until it is answered with 200.
func (a addresses) deliver(ctx context.Context, bodies ...string) error {
	addr := ""
	for _, body := range bodies {
		for {
			if addr == "" {
				select {
				case x := <-a:
					addr = x.String()
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
			status, text, _, err := post(ctx, addr, body)
			switch {
			case err != nil: // it is closed: there is another one, or none
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				addr = ""
				continue
			case status >= 400 && status < 500:
				return fmt.Errorf("%s: %d %s", body, status, text)
			case status == http.StatusOK:
			default:
				continue
			}
			break
		}
	}
	return nil
}

func TestLines_conformance(t *testing.T) {
	a := make(addresses, 1)
	connector.TestSource(t, connector.Source[string]{
		Read: func(p *pipeline.Pipeline) pipeline.PCollection[string] {
			return webhook.Lines(p, "127.0.0.1:0", a.listen())
		},
		Want: []string{"one", "two", "three", "four"},
		Feed: func(ctx context.Context) error { return a.deliver(ctx, "one\ntwo\r\n\n", "", "three", "four\n") },
	})
}

var errEnough = errors.New("enough")

// running is a run that shows what is committed.
type running struct {
	t     *testing.T
	got   *pipeline.Collected[string]
	ended chan error
	stop  context.CancelCauseFunc
}

func start(t *testing.T, cfg local.Config, read func(p *pipeline.Pipeline) pipeline.PCollection[string]) *running {
	ctx, cancel := context.WithCancelCause(t.Context())
	p := pipeline.New()
	r := &running{t, pipeline.Collect(read(p)), make(chan error, 1), cancel}
	require.NoError(t, p.Err())
	go func() {
		_, err := local.Run(ctx, p, cfg)
		r.ended <- err
	}()
	return r
}

func (r *running) end() []string {
	r.stop(errEnough)
	require.Equal(r.t, errEnough, <-r.ended)
	return r.got.Values()
}

// Goal: what was answered with 200 is shown, once, through restarts and failures.
// Method: a sender who repeats what failed, and a transform that fails now and then.
func TestAfterSnapshot_nothingIsLost(t *testing.T) {
	for name, cfg := range map[string]local.Config{
		"snapshots by time": {Parallelism: 2, Checkpoint: time.Millisecond},
		"always restarted":  {Parallelism: 2, BundleEpochs: 1, RestartEvery: 1},
		"failures":          {Parallelism: 2, Checkpoint: time.Millisecond, Retries: 3},
	} {
		t.Run(name, func(t *testing.T) {
			a := make(addresses, 1)
			calls := 0
			r := start(t, cfg, func(p *pipeline.Pipeline) pipeline.PCollection[string] {
				in := webhook.Lines(p, "127.0.0.1:0", a.listen(), webhook.AfterSnapshot(20*time.Second))
				return pipeline.TryMap(in, func(_ context.Context, s string) (string, error) {
					if calls++; name == "failures" && calls%5 == 3 {
						return s, errors.New("now and then")
					}
					return s, nil
				})
			})
			var want []string
			for i := range 20 {
				want = append(want, fmt.Sprint("body ", i))
			}
			require.NoError(t, a.deliver(t.Context(), want...))
			require.ElementsMatch(t, want, r.got.Values(), "shown by the time that they are answered")
			require.ElementsMatch(t, want, r.end())
		})
	}
}

// Goal: what others do wrong, and what they are told. Method: a server that nobody
// reads, as its lane is held up by the first element.
func TestAnswers(t *testing.T) {
	a := make(addresses, 1)
	hold, held := make(chan struct{}), make(chan struct{}, 1)
	r := start(t, local.Config{Parallelism: 1}, func(p *pipeline.Pipeline) pipeline.PCollection[string] {
		in := webhook.Receive(p, "127.0.0.1:0", func(_ *http.Request, body []byte) (out []string, err error) {
			return out, json.Unmarshal(body, &out)
		}, a.listen(), webhook.Path("/in"), webhook.Buffer(3), webhook.MaxBody(50), webhook.RetryAfter(1500*time.Millisecond))
		return pipeline.Map(in, func(s string) string {
			held <- struct{}{}
			<-hold
			return s
		})
	})
	addr := (<-a).String()
	ask := func(body string) (int, string, http.Header) {
		status, text, header, err := post(t.Context(), addr, body)
		require.NoError(t, err)
		return status, text, header
	}
	status, _, _ := ask(`["held"]`)
	require.Equal(t, 200, status)
	<-held
	for _, tc := range []struct {
		body   string
		status int
		text   string
	}{
		{`["a", "b"]`, 200, ""},
		{`["c", "d"]`, 429, "there is no room"},
		{`["e"]`, 200, ""},
		{`["f"]`, 429, "there is no room"},
		{`[]`, 200, ""},
		{`[1, 2, 3`, 400, "unexpected end of JSON input"},
		{`["1", "2", "3", "4"]`, 413, "more than 3 elements at once"},
		{`["` + strings.Repeat("x", 50) + `"]`, 413, "the body is longer than 50 bytes"},
	} {
		status, text, header := ask(tc.body)
		require.Equal(t, tc.status, status, tc.body)
		require.Equal(t, tc.text, text)
		if status == 429 {
			require.Equal(t, "2", header.Get("Retry-After"), "whole seconds, and not before")
		}
	}
	resp, err := http.Get("http://" + addr + "/in")
	require.NoError(t, err)
	require.Equal(t, []string{http.MethodPost}, resp.Header["Allow"])
	require.Equal(t, 405, resp.StatusCode)
	require.NoError(t, resp.Body.Close())
	resp, err = http.Post("http://"+addr+"/elsewhere", "", nil)
	require.NoError(t, err)
	require.Equal(t, 404, resp.StatusCode)
	require.NoError(t, resp.Body.Close())
	close(hold)
	for range 3 {
		<-held
	}
	http.DefaultClient.CloseIdleConnections()
	r.end()
}

// Goal: senders who wait for a snapshot are told when there will be none.
func TestAfterSnapshot_noneComes(t *testing.T) {
	a := make(addresses, 1)
	r := start(t, local.Config{Parallelism: 1}, func(p *pipeline.Pipeline) pipeline.PCollection[string] {
		return webhook.Lines(p, "127.0.0.1:0", a.listen(), webhook.AfterSnapshot(time.Millisecond))
	})
	status, text, header, err := post(t.Context(), (<-a).String(), "x")
	require.NoError(t, err)
	require.Equal(t, []any{503, "no snapshot was taken in time", "1"}, []any{status, text, header.Get("Retry-After")})
	r.end()

	seen := make(chan struct{}, 1)
	r = start(t, local.Config{Parallelism: 1}, func(p *pipeline.Pipeline) pipeline.PCollection[string] {
		in := webhook.Lines(p, "127.0.0.1:0", a.listen(), webhook.AfterSnapshot(time.Hour))
		return pipeline.Map(in, func(s string) string { seen <- struct{}{}; return s })
	})
	answer := make(chan string, 1)
	addr := (<-a).String()
	go func() {
		status, text, _, err := post(t.Context(), addr, "x")
		answer <- fmt.Sprint(status, " ", text, " ", err)
	}()
	<-seen
	require.Empty(t, r.end())
	require.Equal(t, "503 the run is stopping <nil>", <-answer)
}

func TestReceive_sentences(t *testing.T) {
	for _, tc := range []struct {
		address string
		opt     webhook.Option
		want    string
	}{
		{"localhost", webhook.Buffer(1), `webhook.Bodies: "localhost": want an address as localhost:8080 or :0: `},
		{":0", webhook.Buffer(0), "webhook.Bodies: MaxBody, Buffer and RetryAfter want positive values"},
		{":0", webhook.AfterSnapshot(0), "webhook.Bodies: AfterSnapshot(0s): want a positive time"},
		{":0", webhook.Path("x"), `webhook.Bodies: Path("x"): want a path that begins with /`},
	} {
		p := pipeline.New()
		webhook.Bodies(p, tc.address, tc.opt)
		require.ErrorContains(t, p.Err(), tc.want)
		require.ErrorContains(t, p.Err(), "webhook_test.go:")
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	p := pipeline.New()
	pipeline.Collect(webhook.Bodies(p, taken.Addr().String()))
	_, err = local.Run(t.Context(), p, local.Config{})
	require.ErrorContains(t, err, "address already in use")
}
