// Package client sends Kafka's requests: metadata, fetch, produce, offsets of
// partitions and groups, transactions and the making of topics.
//
// Connections, TLS, SASL and the pool of idle connections are kafka-go's
// Transport; every request and answer is encoded and parsed here, and goes over a
// connection of that pool by protocol.RawExchanger. Where a request goes is
// decided here, too: the client keeps its own picture of the cluster (brokers,
// leaders, coordinators), corrects it with every answer that says it is stale,
// and gives each broker a Transport of its own, so kafka-go's metadata, which is
// renewed every few seconds only, routes nothing.
//
// # What is retried
//
// Every call but Fetch and Produce is tried again, with a growing pause, while
// the answer is of the kind that passes (a leader or coordinator that moved or is
// loading, a broker that can't be reached, throttling), until its context or
// Config.RequestTimeout ends. Fetch and Produce are sent once: their callers have
// a loop, and know the sequence numbers.
//
// # Versions
//
// The newest version of each request that both sides have, below those that name
// topics by id or that change what a transaction is (KIP-890). Brokers from Kafka
// 2.5 on have all of them.
//
// # Goroutines
//
// New starts none. A call starts one for each broker it sends to at once and waits
// for them. kafka-go has one for each connection and one for each broker that was
// used; Close ends them.
//
// Source of all byte formats: the Kafka protocol guide,
// https://kafka.apache.org/protocol.html, and KIP-482 (tagged fields).
package client
