package distributed

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/runner"
	_ "github.com/millrace/millrace/runners/local" // declares what is taken
	"github.com/stretchr/testify/require"
)

// parse parses a command line, with an environment of lines like NAME=value.
func parse(t *testing.T, args []string, env ...string) (*config, error) {
	t.Helper()
	fs := flag.NewFlagSet("app", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	f := &flags{}
	f.register(fs)
	for _, r := range runner.All() {
		if r.Name == "local" {
			r.Flags(fs)
		}
	}
	for _, name := range taken {
		require.NotNil(t, fs.Lookup(name), name)
	}
	require.NoError(t, fs.Parse(args))
	return f.parse(fs, func(name string) string {
		for _, line := range env {
			if key, val, _ := strings.Cut(line, "="); key == name {
				return val
			}
		}
		return ""
	}, "/usr/bin/shop")
}

func TestFlags_defaults(t *testing.T) {
	c, err := parse(t, nil)
	require.NoError(t, err)
	require.Equal(t, &config{
		role: submits, job: "shop", workers: 2, replicas: 1, slots: 2, lanes: max(1, runtime.GOMAXPROCS(0)/2),
		epoch: 20 * time.Millisecond, epochSize: 256 << 10, cut: time.Second, drainTimeout: 30 * time.Second, progress: "auto", plane: overNATS,
	}, c)
}

func TestFlags_all(t *testing.T) {
	creds := filepath.Join(t.TempDir(), "creds")
	require.NoError(t, os.WriteFile(creds, nil, 0o600))
	c, err := parse(t, strings.Fields("-workers=3 -job=till -slots=6 -standby=1 -parallelism=2 -epoch=10ms -epoch-size=1MiB -cut=500ms -sink-commit=epoch"+
		" -nats=nats://a:4222,tls://b:4222 -nats-creds="+creds+" -drain-timeout=1m -log-dir=logs -progress=off"), joinToken+"=secret")
	require.NoError(t, err)
	require.Equal(t, &config{
		role: submits, job: "till", workers: 3, replicas: 1, slots: 6, standbys: 1, lanes: 2, epoch: 10 * time.Millisecond, epochSize: 1 << 20, cut: 500 * time.Millisecond, byEpoch: true,
		servers: []string{"nats://a:4222", "tls://b:4222"}, nats: natsConfig{outside: true, creds: creds}, token: "secret", drainTimeout: time.Minute, logs: "logs", progress: "off", plane: overNATS,
	}, c)

	c, err = parse(t, strings.Fields("-state-dir=state -durable=power"))
	require.NoError(t, err)
	require.Equal(t, "state", c.stateDir)
	require.True(t, c.syncAlways)

	c, err = parse(t, strings.Fields("-join=nats://a:4222 -job=till -nats-user=me"), joinToken+"=secret", natsPassword+"=p")
	require.NoError(t, err)
	require.Equal(t, joins, c.role)
	require.Equal(t, []string{"nats://a:4222"}, c.servers)
	require.Equal(t, natsConfig{outside: true, user: "me", password: "p"}, c.nats)

	c, err = parse(t, strings.Fields("-chaos=kill=10s,pause=500ms"))
	require.NoError(t, err)
	require.Equal(t, chaos{kill: 10 * time.Second, pause: 500 * time.Millisecond}, c.chaos)

	c, err = parse(t, strings.Fields("-workers=0 -slots=4 -nats=nats://a:4222"))
	require.NoError(t, err)
	require.Equal(t, 4, c.slots)
	require.Equal(t, runtime.GOMAXPROCS(0), c.lanes)
}

// Goal: what can't be, or makes no sense together, is refused with the flag that is wrong,
// and a sentence.
func TestFlags_refused(t *testing.T) {
	for args, want := range map[string]string{
		"-job=a.b":                    `-job: "a.b" is no name for a job: want up to 64 letters, digits, - and _`,
		"-workers=-1":                 "-workers: -1: want 0 to 256",
		"-workers=0":                  "-slots: without workers of its own (-workers=0) a job has to be told how many slots it has",
		"-workers=0 -slots=2":         "-workers: with no worker here others have to reach the job: give NATS servers by -nats, or an address by -listen",
		"-listen=4222":                `-listen: "4222": want a host and a port, as 10.0.0.5:4222`,
		"-listen=a:1 -nats=nats://a":  "-listen: it is for a NATS server in this process, and -nats names others'",
		"-plane=post":                 `-plane: "post": want nats, direct, mesh or log`,
		"-plane-listen=10.0.0.6:7000": "-plane-listen: it is for data that goes from worker to worker: give -plane=direct or -plane=mesh, too",
		"-plane=direct -plane-listen=0.0.0.0:7000":      `-plane-listen: "0.0.0.0:7000": want an address at which other machines reach this one, as 10.0.0.6:7000, with room for a port of each worker behind it`,
		"-plane=direct -plane-listen=a:65535":           `-plane-listen: "a:65535": want an address at which other machines reach this one, as 10.0.0.6:7000, with room for a port of each worker behind it`,
		"-metrics=9200":                                 `-metrics: "9200": want an address, as localhost:9200, with room for a port of each worker behind it`,
		"-metrics=:65535":                               `-metrics: ":65535": want an address, as localhost:9200, with room for a port of each worker behind it`,
		"-workers=0 -slots=2 -nats=nats://a -log-dir=x": "-log-dir: there are no workers here (-workers=0): give it to them",
		"-standby=-1":                                   "-standby: -1: want 0 to 7",
		"-slots=2000":                                   "-slots: 2000: want 1 to 1024",
		"-slots=600 -parallelism=2":                     "-parallelism: 2 lanes in each of 600 slots: want 1 to 1024 in all, or 0 for as many as there are cores",
		"-parallelism=-1":                               "-parallelism: -1 lanes in each of 2 slots: want 1 to 1024 in all, or 0 for as many as there are cores",
		"-epoch=10us":                                   "-epoch: 10µs: want 1ms to 10s",
		"-epoch-size=much":                              `-epoch-size: "much": want a size such as 512MiB or 4GiB`,
		"-epoch=100ms -cut=50ms":                        "-cut: 50ms: want at least the time between epochs, 100ms, and at most 1h",
		"-sink-commit=never":                            `-sink-commit: "never": want cut or epoch`,
		"-join=nats://a -sink-commit=cut":               "-sink-commit: who joins a job (-join) takes that from it",
		"-durable=very":                                 `-durable: "very": want crash or power`,
		"-durable=power":                                "-durable: without -state-dir nothing is kept when the job is over",
		"-nats=nats://a -durable=power":                 "-durable: the NATS servers are others' (-nats), and so is what they keep",
		"-nats=nats://a -state-dir=x":                   "-state-dir: with NATS servers of others (-nats) state is kept there",
		"-drain-timeout=-1s":                            "-drain-timeout: -1s: want 0 or more",
		"-chaos=kill":                                   `-chaos: "kill": want a mean time between, as kill=10s,pause=5s`,
		"-chaos=kill=often":                             `-chaos: "kill=often": want a mean time between, as kill=10s,pause=5s`,
		"-chaos=kill=10s,pause=1ms":                     `-chaos: "pause=1ms": want 100ms to 24h`,
		"-chaos=kill=10s,kill=5s":                       "-chaos: kill is there twice",
		"-chaos=unplug=10s":                             `-chaos: nobody knows how to "unplug": want kill, pause or both, as kill=10s,pause=5s`,
		"-chaos=kill=10s -workers=1":                    "-chaos: of 1 workers here nobody can go on for another: start -workers=2 or more",
		"-join=nats://a -chaos=kill=1s":                 "-chaos: who joins a job (-join) takes that from it",
		"-progress=loud":                                `-progress: "loud": want auto, on or off`,
		"-nats=a:4222":                                  "-nats: want nats://host:port or tls://host:port, several of them between commas",
		"-nats=nats://a,":                               "-nats: want nats://host:port or tls://host:port, several of them between commas",
		"-nats=nats://me:pw@a":                          "-nats: others can read the command line: give the user by -nats-user, and the password by MILLRACE_NATS_PASSWORD",
		"-nats=nats://a -nats-user=me":                  `-nats-user: set MILLRACE_NATS_PASSWORD to the password of "me"`,
		"-nats=nats://a -nats-creds=c -nats-nkey=n":     "-nats-creds: give one of -nats-user, -nats-creds, -nats-nkey and MILLRACE_NATS_TOKEN",
		"-nats=nats://a -nats-creds=/none":              "-nats-creds: stat /none: no such file or directory",
		"-nats=nats://a -nats-ca=/none":                 "-nats-ca: open /none: no such file or directory",
		"-nats=nats://a -nats-ca=flags.go":              "-nats-ca: flags.go holds no certificate (PEM)",
		"-nats=nats://a -nats-cert=x":                   "-nats-cert: a certificate and its key come together: -nats-cert and -nats-key",
		"-nats=nats://a -nats-key=x":                    "-nats-key: a certificate and its key come together: -nats-cert and -nats-key",
		"-nats-ca=x":                                    "-nats-ca: it is for NATS servers of others, which -nats names",
		"-join=nats://a":                                "-join: set MILLRACE_JOIN_TOKEN to the token that the job has shown, or was started with",
		"-join=nats://a -slots=3":                       "-slots: who joins a job (-join) takes that from it",
		"-join=nats://a -nats=nats://a":                 "-nats: who joins a job (-join) takes that from it",
	} {
		_, err := parse(t, strings.Fields(args))
		var usage *runner.UsageError
		require.ErrorAs(t, err, &usage, args)
		require.Equal(t, want, err.Error(), args)
	}
	_, err := parse(t, strings.Fields("-join=http://a"), joinToken+"=x")
	require.EqualError(t, err, "-join: want nats://host:port or tls://host:port, several of them between commas")
}

func TestFlags_tls(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	write := func(name, kind string, b []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600))
		return path
	}
	certFile, keyFile := write("cert.pem", "CERTIFICATE", cert), write("key.pem", "PRIVATE KEY", der)
	c, err := parse(t, []string{"-nats=tls://a", "-nats-ca=" + certFile, "-nats-cert=" + certFile, "-nats-key=" + keyFile})
	require.NoError(t, err)
	require.Len(t, c.nats.tls.Certificates, 1)
	require.NotNil(t, c.nats.tls.RootCAs)

	_, err = parse(t, []string{"-nats=tls://a", "-nats-cert=" + certFile, "-nats-key=" + certFile})
	require.ErrorContains(t, err, "-nats-cert: ")
}
