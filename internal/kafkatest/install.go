package kafkatest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// version is the Apache Kafka that real brokers are, log4j the library that it logs with.
//
// Not 4.3.0 or 4.3.1: there, a node that is killed and restarted may drop the markers of a
// transaction whose end it has acknowledged (KAFKA-20734), so that what was aborted counts
// with the next commit. restart in the tests of this package shows it.
const (
	version = "4.2.1"
	log4j   = "2.25.3"
)

// pom names what a broker consists of.
const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>millrace.test</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>` + version + `</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>` + log4j + `</version></dependency>
  </dependencies>
</project>
`

const logging = `Configuration:
  Appenders:
    Console: {name: OUT, PatternLayout: {pattern: "%d %p %m (%c{1})%n%xEx"}}
  Loggers:
    Root: {level: WARN, AppenderRef: [{ref: OUT}]}
    Logger: [{name: kafka.server.KafkaRaftServer, level: INFO}]
`

// What is in an installation, beside the jars.
const (
	logFile       = "log4j2.yaml"
	bootstrapFile = "bootstrap.checkpoint" // the features that a new cluster has
	classesFile   = "classes.jsa"          // loaded classes: a broker starts in half the time
)

// errUnavailable is wrapped where no real broker can be had on this machine.
var errUnavailable = errors.New("no real Kafka")

// install returns the folder that Kafka is in. The first call on a machine fetches it,
// which takes about 20 s; others wait meanwhile.
func install() (string, error) {
	if _, err := exec.LookPath("java"); err != nil {
		return "", fmt.Errorf("%w: Java 17 or newer is missing (Debian: apt-get install openjdk-17-jre-headless)", errUnavailable)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("%w: %w", errUnavailable, err)
	}
	dir := filepath.Join(cache, "millrace", "kafka-"+version)
	if exists(filepath.Join(dir, classesFile)) {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o777); err != nil {
		return "", err
	}
	lock, err := os.Create(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer lock.Close() // and with it the lock ends
	if err := lockFile(lock); err != nil {
		return "", fmt.Errorf("%w: lock %s: %w", errUnavailable, lock.Name(), err)
	}
	if !exists(dir) {
		if err := fetch(dir); err != nil {
			return "", fmt.Errorf("fetch Kafka %s: %w", version, err)
		}
	}
	if !exists(filepath.Join(dir, classesFile)) {
		if err := archive(dir); err != nil {
			return "", fmt.Errorf("archive the classes of Kafka %s: %w", version, err)
		}
	}
	return dir, nil
}

// fetch makes dir, whole or not at all.
func fetch(dir string) error {
	if _, err := exec.LookPath("mvn"); err != nil {
		return fmt.Errorf("%w: Maven is missing (Debian: apt-get install maven)", errUnavailable)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	for name, text := range map[string]string{"pom.xml": pom, logFile: logging, "format.properties": formatProperties(tmp)} {
		if err := os.WriteFile(filepath.Join(tmp, name), []byte(text), 0o666); err != nil {
			return err
		}
	}
	if err := run(tmp, "mvn", "-B", "-q", "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies",
		"-DincludeScope=runtime", "-DoutputDirectory="+tmp); err != nil {
		return fmt.Errorf("%w: %w", errUnavailable, err)
	}
	if err := run(tmp, "java", "-Dlog4j2.configurationFile="+filepath.Join(tmp, logFile), "-cp", filepath.Join(tmp, "*"),
		"kafka.tools.StorageTool", "format", "-t", newUUID(), "-c", "format.properties"); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(tmp, "data", bootstrapFile), filepath.Join(tmp, bootstrapFile)); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(tmp, "data")); err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}

// archive runs a broker once, to write down the classes that it loads.
func archive(dir string) error {
	tmp := filepath.Join(dir, classesFile+".new")
	f, err := launch(dir, 1, "-XX:ArchiveClassesAtExit="+tmp)
	if err != nil {
		return err
	}
	defer f.close()
	if err := f.nodes[0].stop(); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, classesFile))
}

func run(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil && bytes.Contains(out, []byte("UnsupportedClassVersionError")):
		return fmt.Errorf("%w: Java 17 or newer is needed, and this one is older", errUnavailable)
	case err != nil:
		return fmt.Errorf("%s: %w:\n%s", name, err, tail(out, 15))
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// tail is the last n lines of b.
func tail(b []byte, n int) []byte {
	b = bytes.TrimRight(b, "\n")
	at := len(b)
	for range n {
		if at = bytes.LastIndexByte(b[:at], '\n'); at < 0 {
			return b
		}
	}
	return b[at+1:]
}
