package distributed

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/millrace/millrace/internal/cluster"
)

// drawToken draws a join token.
func drawToken() string { return rand.Text() }

// natsSecret is what the NATS server in a job's process wants to know: who has the join
// token has it, and who has only this can't join.
func natsSecret(token string) string {
	h := hmac.New(sha256.New, []byte(token))
	h.Write([]byte("nats"))
	return hex.EncodeToString(h.Sum(nil))
}

// self is what this process says of itself.
func self() (cluster.Hello, error) {
	path, err := os.Executable()
	if err != nil {
		return cluster.Hello{}, fmt.Errorf("find this program: %w", err)
	}
	program, err := hashFile(path)
	if err != nil {
		return cluster.Hello{}, fmt.Errorf("hash this program: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return cluster.Hello{}, fmt.Errorf("the name of this machine: %w", err)
	}
	return cluster.Hello{Program: program, Platform: runtime.GOOS + "/" + runtime.GOARCH, Host: host, Pid: os.Getpid()}, nil
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
