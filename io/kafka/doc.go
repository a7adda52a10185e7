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
// Neither passwords nor parameters are shown in errors and logs.
package kafka
