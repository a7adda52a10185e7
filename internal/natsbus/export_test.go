package natsbus

import "time"

// SyncsAlways says whether JetStream syncs before it acknowledges.
func (s *Server) SyncsAlways() bool { return s.of.JetStreamConfig().SyncAlways }

// AnswerMax is for how long an answer is waited for.
func (s *Store) AnswerMax(d time.Duration) { s.answer = d }
