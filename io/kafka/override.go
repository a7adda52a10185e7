package kafka

import "encoding/json"

// UnmarshalJSON reads a value: a file that stands in for a ReadWithBad has good ones.
func (a *attempt[T]) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &a.Value) }
