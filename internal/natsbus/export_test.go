package natsbus

// SyncsAlways says whether JetStream syncs before it acknowledges.
func (s *Server) SyncsAlways() bool { return s.of.JetStreamConfig().SyncAlways }
