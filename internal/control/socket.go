package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// The names of files in a job's folder.
const (
	socketName  = "control.sock"
	pointerName = "control.path" // holds the socket's path, where one in the folder would be too long
)

// pathMax is the longest path of a socket on all systems that we know: 104 bytes with
// the zero behind it on some, 108 on others.
const pathMax = 103

// tempPattern begins the names of folders for sockets whose own would be too long.
const tempPattern = "millrace-control-"

// socket is a listener in a job's folder.
type socket struct {
	net.Listener
	remove func()
}

// listenIn makes the socket of a folder that is this process's alone: what lies
// there is of a process that has died.
func listenIn(dir string) (*socket, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, socketName)
	if c, err := dial(dir); err == nil {
		c.Close()
		return nil, fmt.Errorf("control socket %s: another process answers on it", path)
	}
	removePointer(dir)
	// The socket is made in a folder that nobody else can enter, and moved when its
	// mode is set: there is no moment at which others could open it.
	hidden, err := os.MkdirTemp(dir, ".c")
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	defer os.RemoveAll(hidden)
	first := filepath.Join(hidden, "s")
	if max(len(first), len(path)) > pathMax {
		return listenElsewhere(dir)
	}
	l, err := listenAt(first)
	if err != nil {
		return nil, err
	}
	if err := os.Rename(first, path); err != nil {
		l.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return &socket{l, func() { os.Remove(path) }}, nil
}

func listenAt(path string) (net.Listener, error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return l, nil
}

// listenElsewhere makes the socket in a temporary folder, and leaves its path in dir.
func listenElsewhere(dir string) (*socket, error) {
	temp, err := os.MkdirTemp("", tempPattern)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	pointer := filepath.Join(dir, pointerName)
	s := &socket{remove: func() { os.Remove(pointer); os.RemoveAll(temp) }}
	path := filepath.Join(temp, socketName)
	if len(path) > pathMax {
		s.remove()
		return nil, fmt.Errorf("control socket: the paths of the state folder and of the temporary folder are both too long for a socket (%d bytes, at most %d): set TMPDIR to a shorter one", len(path), pathMax)
	}
	if s.Listener, err = listenAt(path); err != nil {
		s.remove()
		return nil, err
	}
	if err := os.WriteFile(pointer, []byte(path), 0o600); err != nil {
		s.Listener.Close()
		s.remove()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return s, nil
}

// removePointer removes what a process that died had made elsewhere.
func removePointer(dir string) {
	pointer := filepath.Join(dir, pointerName)
	if path, err := readPointer(pointer); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Remove(pointer)
}

// readPointer is the path in a pointer, if it is one that listenElsewhere makes.
func readPointer(pointer string) (string, error) {
	b, err := os.ReadFile(pointer)
	if err != nil {
		return "", err
	}
	path := string(b)
	if !filepath.IsAbs(path) || filepath.Base(path) != socketName || !strings.HasPrefix(filepath.Base(filepath.Dir(path)), tempPattern) {
		return "", fmt.Errorf("%s names no control socket", pointer)
	}
	return path, nil
}

// dial connects to the job that runs in a folder.
func dial(dir string) (net.Conn, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, socketName)
	switch elsewhere, err := readPointer(filepath.Join(dir, pointerName)); {
	case err == nil:
		path = elsewhere
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	return net.Dial("unix", path)
}
