package held

func (*Data) kind() kind   { return kindData }
func (*End) kind() kind    { return kindEnd }
func (*Ack) kind() kind    { return kindAck }
func (*State) kind() kind  { return kindState }
func (*News) kind() kind   { return kindNews }
func (*Record) kind() kind { return kindRecord }
func (*Job) kind() kind    { return kindJob }
func (*Cell) kind() kind   { return kindCell }

func (m *Data) fields(c *codec) {
	number(c, &m.Gen)
	count(c, &m.Src)
	count(c, &m.Dst)
	number(c, &m.Inc)
	number(c, &m.Epoch)
	count(c, &m.Class)
	count(c, &m.Frame)
	count(c, &m.Size)
	number(c, &m.To)
}

func (m *End) fields(c *codec) {
	number(c, &m.Gen)
	count(c, &m.Src)
	count(c, &m.Dst)
	number(c, &m.Inc)
	number(c, &m.Epoch)
	number(c, &m.Prev)
	number(c, &m.Colour)
	number(c, &m.Version)
	list(c, &m.Counts, count[int])
	c.bytes(&m.Marks)
}

func (m *Ack) fields(c *codec) {
	number(c, &m.Gen)
	count(c, &m.Dst)
	number(c, &m.DstInc)
	c.raw(&m.Process)
	c.bool(&m.Standby)
	count(c, &m.Src)
	number(c, &m.SrcInc)
	number(c, &m.Epoch)
}

func (m *State) fields(c *codec) {
	number(c, &m.Gen)
	count(c, &m.Slot)
	number(c, &m.Inc)
	c.raw(&m.N)
	c.raw(&m.Process)
	list(c, &m.History, spanFields)
	number(c, &m.Epoch)
	number(c, &m.Colour)
	tagFields(c, &m.Tag)
	list(c, &m.Last, number[Epoch])
	c.bytes(&m.Marks)
	list(c, &m.At, func(c *codec, at *[]Pos) { list(c, at, posFields) })
	list(c, &m.Have, number[Epoch])
	list(c, &m.Seen, number[Inc])
	m.Moves.fields(c)
	c.bool(&m.Full)
	c.bool(&m.Lost)
	c.bool(&m.Waits)
}

func (m *News) fields(c *codec) {
	m.Job.fields(c)
	number(c, &m.Asked)
	number(c, &m.Told)
	c.bool(&m.Rest)
}

func (r *Record) fields(c *codec) {
	number(c, &r.Gen)
	count(c, &r.Slot)
	number(c, &r.Inc)
	number(c, &r.Epoch)
	list(c, &r.History, spanFields)
	number(c, &r.Colour)
	tagFields(c, &r.Tag)
	list(c, &r.Last, number[Epoch])
	c.bytes(&r.Marks)
	list(c, &r.At, func(c *codec, at *[]Place) { list(c, at, placeFields) })
	r.Groups.fields(c)
	list(c, &r.Kept, keptFields)
	list(c, &r.Chunks, chunkFields)
	c.bytes(&r.State)
	c.bool(&r.Rests)
	c.bool(&r.Unshown)
	c.raw(&r.Word)
}

func (j *Job) fields(c *codec) {
	c.raw(&j.Version)
	number(c, &j.Gen)
	number(c, &j.Cut)
	list(c, &j.At, identFields)
	c.bool(&j.Settled)
	j.Groups.fields(c)
}

func spanFields(c *codec, s *Span) {
	number(c, &s.Inc)
	number(c, &s.Base)
}

func identFields(c *codec, i *Ident) {
	number(c, &i.Gen)
	number(c, &i.Inc)
	number(c, &i.Epoch)
}

func tagFields(c *codec, t *Tag) {
	number(c, &t.Cut)
	identFields(c, &t.At)
	c.bool(&t.Void)
	number(c, &t.Version)
	c.bool(&t.Moving)
}

func posFields(c *codec, p *Pos) {
	number(c, &p.Epoch)
	count(c, &p.Frame)
}

func placeFields(c *codec, p *Place) {
	posFields(c, &p.Pos)
	c.bytes(&p.Marks)
	number(c, &p.Version)
	c.bytes(&p.Late)
}

func keptFields(c *codec, k *Kept) {
	count(c, &k.Dst)
	number(c, &k.Inc)
	number(c, &k.Epoch)
	number(c, &k.Prev)
	number(c, &k.Colour)
	number(c, &k.Version)
	list(c, &k.Frames, func(c *codec, sizes *[]int) { list(c, sizes, count[int]) })
	c.bytes(&k.Marks)
}

func (a *Assignment) fields(c *codec) {
	number(c, &a.Version)
	runs(c, &a.Owner)
}

func (g *Groups) fields(c *codec) {
	g.Assignment.fields(c)
	c.bytes(&g.Before)
	list(c, &g.Await, awaitFields)
	list(c, &g.Give, count[int])
	list(c, &g.Given, givenFields)
	number(c, &g.Drained)
}

func (m *Moves) fields(c *codec) {
	number(c, &m.Version)
	c.bytes(&m.Before)
	list(c, &m.Await, count[int])
	list(c, &m.Given, givenFields)
	number(c, &m.Drained)
}

func awaitFields(c *codec, a *Await) {
	count(c, &a.Group)
	c.bool(&a.Here)
	list(c, &a.Parked, count[int])
}

func givenFields(c *codec, g *Given) {
	count(c, &g.Group)
	number(c, &g.Version)
	number(c, &g.Inc)
	number(c, &g.Epoch)
}

func chunkFields(c *codec, k *Chunk) {
	number(c, &k.Gen)
	number(c, &k.Inc)
	number(c, &k.Epoch)
	c.raw(&k.Count)
	c.raw(&k.CRC)
}

func (e *Cell) fields(c *codec) {
	number(c, &e.Ballot)
	number(c, &e.By)
	c.raw(&e.Version)
	c.bytes(&e.Value)
	c.bool(&e.Learns)
}
