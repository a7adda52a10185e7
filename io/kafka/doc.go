// Package kafka reads and writes topics of Apache Kafka.
//
//	orders := kafka.Read(p, "kafka://localhost:9092/orders?group=billing", kafka.JSON[Order]())
//
// A URL is kafka://user:password@host:9092,host2:9092/topic?parameter=value, or kafkas://
// for TLS. What it may say, an option may say, too, and the option counts. Parameters of
// both sides:
//
//	sasl     plain (the default where there is a user), scram-sha-256, scram-sha-512, oauthbearer
//	ca       file with the certificates, in PEM, that brokers' certificates are checked by
//	cert     file with the program's own certificate, and
//	key      file with its key
//	server   the name that brokers' certificates have
//	client   what brokers are told about who asks; default millrace
//	timeout  the most that a request may take, as 10s
//
// Parameters of reading, see the options of the same names:
//
//	pattern      a regular expression of topics; then the URL names none
//	group        the consumer group to which offsets are committed
//	start        earliest, latest, a time as 2026-01-02T15:04:05Z, group, or group,latest
//	stop         latest, or a time: the input is bounded
//	reset        earliest or latest: where to go on when an offset is gone
//	uncommitted  true: transactions that are open or were aborted, too
//	outoforder   how late records may come, as 5s
//	idle         after what time a partition that was read to its end holds nobody up
//	discover     how often new partitions are looked for
//	budget       bytes of what was fetched that may be in memory
//	wait         how long a broker waits for new records
//	patience     how long brokers may be away
//	rack         where this program runs
//
// Neither passwords nor parameters are shown in errors and logs.
//
// # Formats
//
// A [Format] makes values of records: [Bytes], [String], [JSON], [CSV], [Records] for
// whole ones, [KeyValue] for keys as well; Avro, Protocol Buffers and JSON Schema, with a
// schema registry, are below io/kafka/registry. One's own is a Format literal. A record
// without a value, a tombstone, is nil in formats of pointers, and a bad record in
// others (see [Tombstones]).
//
// # Bad records
//
// A record that its format can't decode stops the run. [ReadWithBad] sets it aside in
// place of that, [WriteBad] writes it to a dead-letter topic, from where [Redrive], or
// the command kafka-redrive, writes it back when what was wrong is mended:
//
//	orders, bad := kafka.ReadWithBad(p, "kafka://localhost:9092/orders", kafka.JSON[Order]())
//	kafka.WriteBad(bad, "kafka://localhost:9092/letters")
package kafka
