package webhook

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// ServeHTTP takes one request.
func (r *reader[T]) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	switch {
	case r.path != "" && req.URL.Path != r.path:
		http.NotFound(w, req)
		return
	case req.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "only POST is taken here", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, r.maxBody))
	if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
		http.Error(w, fmt.Sprintf("the body is longer than %d bytes", r.maxBody), http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		http.Error(w, "the body could not be read", http.StatusBadRequest)
		return
	}
	elements, err := r.parse(req, body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.accept(w, req, elements)
}

// accept queues the elements, and answers.
func (r *reader[T]) accept(w http.ResponseWriter, req *http.Request, elements []T) {
	if len(elements) == 0 {
		w.WriteHeader(http.StatusOK)
		return
	}
	select {
	case <-r.closing:
		r.again(w, http.StatusServiceUnavailable, "the run is stopping")
		return
	default:
	}
	b := &batch[T]{sender: req.RemoteAddr, elements: elements, safe: make(chan struct{})}
	switch r.queue.put(b) {
	case tooMany:
		http.Error(w, fmt.Sprintf("more than %d elements at once", r.buffer), http.StatusRequestEntityTooLarge)
		return
	case full:
		r.again(w, http.StatusTooManyRequests, "there is no room")
		return
	}
	if !r.after {
		w.WriteHeader(http.StatusOK)
		return
	}
	patience := time.NewTimer(r.patience)
	defer patience.Stop()
	select {
	case <-b.safe:
		w.WriteHeader(http.StatusOK)
	case <-patience.C:
		r.again(w, http.StatusServiceUnavailable, "no snapshot was taken in time")
	case <-r.closing:
		select {
		case <-b.safe: // both at once
			w.WriteHeader(http.StatusOK)
		default:
			r.again(w, http.StatusServiceUnavailable, "the run is stopping")
		}
	case <-req.Context().Done(): // nobody is there to be answered
	}
}

// again tells the sender to come again.
func (r *reader[T]) again(w http.ResponseWriter, status int, why string) {
	seconds := max(1, int64((r.retry+time.Second-1)/time.Second))
	w.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
	http.Error(w, why, status)
}
