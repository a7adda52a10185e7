// Package table is tables that change: rows by key, whose changes flow through
// filters, aggregates and joins and come out as the exact changes of the result.
//
// A [Table] is made of a stream of upserts, of a feed of changes or of Debezium
// envelopes. What is made of a Table is a Table again: of each row it says what was
// inserted, what it was replaced by, and what was deleted, so that whoever applies
// the changes of a row one after the other holds what the query would give over the
// tables as they were a moment ago, and in the end over the tables as they are.
// Every change takes back exactly the value that stood there: nothing is deleted
// that was not inserted, and nothing inserted twice.
//
// The changes of one row come in order. Between rows there is no order. A change has
// the event time of the input that caused it.
//
// Tables live in the global window: a row has no end, and a window would cut it. Of
// a bounded input the result is the changes one after the other, too; [Latest] is
// what is left of them, [Consolidate] fewer of them.
//
// A function given to this package has to give the same for the same row whenever it
// is called, because it is called again to take back what it gave. An element that is
// set aside as a dead letter leaves a gap in the changes of its row.
package table
