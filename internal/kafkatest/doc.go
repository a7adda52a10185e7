// Package kafkatest has brokers for tests, and another client, franz-go, to look at
// them with.
//
//   - [Fake]: brokers in this process (kfake): at once, everywhere, with faults to order.
//   - [Real]: a cluster of Apache Kafka of a test's own, whose nodes can be killed.
//   - [Shared]: one broker of Apache Kafka for all tests of a process.
//   - [Produce], [ReadAll]: what another client writes, and what it reads.
//
// All brokers are on loopback, on ports that the system chose. Nodes are numbered
// from 0. What goes wrong ends the test, so no method returns an error: call them from the
// test's goroutine, or be prepared that another one ends. Kill, Stop, Start, Pause and
// Resume are for one goroutine at a time.
//
// # Real brokers
//
// Apache Kafka comes from Maven Central, once a machine, into the user's cache folder
// (millrace/kafka-VERSION). Without Java 17 or Maven the test is skipped, and says what
// to install; in CI (environment variable CI=true) it fails. With -short it is skipped.
// A node starts in about 1.5 s, and again after a kill in about 3.5 s: its session
// (2 s) has to end first. Nodes die with the test's process, however that ends.
package kafkatest
