// Package batch reads and builds Kafka's record batches (format 2, since Kafka
// 0.11) as bytes. It is pure: no network, no clock, no goroutine.
//
// A batch is, all numbers big-endian:
//
//	at  0  base offset            int64
//	at  8  length of what follows int32
//	at 12  leader epoch           int32
//	at 16  magic (2)              int8
//	at 17  CRC-32C of what follows
//	at 21  attributes             int16  codec (3 bits), log-append time, transactional, control, delete horizon
//	at 23  last offset delta      int32  of what was written; compaction leaves it
//	at 27  base timestamp         int64  Unix ms
//	at 35  max timestamp          int64
//	at 43  producer id            int64  -1: none
//	at 51  producer epoch         int16
//	at 53  base sequence          int32
//	at 57  records                int32
//	at 61  the records, compressed as one piece
//
// and a record, its numbers zigzag varints except for the attributes' byte:
//
//	length | attributes | timestamp delta | offset delta | key length | key |
//	value length | value | headers | (key length | key | value length | value)*
//
// A length of -1 is null. What the sum does not cover (base offset, length,
// epoch, magic) is checked as far as it can be: see Reader.
//
// Source: the Apache Kafka protocol guide, "Record Batch".
package batch
