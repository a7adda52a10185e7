package gen

import "time"

const (
	gamma uint64 = 0x9E3779B97F4A7C15
	seed  uint64 = 42

	// Base is the event time about which event 0 happens, in Unix milliseconds:
	// a multiple of 10 s, so windows of 2 s and 10 s begin on it.
	Base int64 = 1_700_000_000_000

	// OutOfOrder bounds disorder: an event's time is less than this before that
	// of any event with a smaller number.
	OutOfOrder = time.Second

	// Keys is the number of keys of query w3; see [Key].
	Keys uint64 = 1_000_000
)

// Kind says which fields of an [Event] are meant.
type Kind uint8

// Of 50 events in a row one is a person, three are auctions, 46 are bids.
const (
	IsPerson Kind = iota
	IsAuction
	IsBid
)

// Person is somebody who sells and bids. Its strings are shared constants.
type Person struct {
	ID                uint64
	Name, City, State string
	TS                int64 // event time, Unix ms
}

// Auction is a thing for sale.
type Auction struct {
	ID       uint64
	Seller   uint64 // a Person's ID
	Category uint64 // 10 to 14
	Expires  int64  // Unix ms
	TS       int64  // event time, Unix ms
}

// Bid is an offer for an auction that has been opened by an earlier event.
type Bid struct {
	Auction uint64 // an Auction's ID; half of the bids are on a hot one
	Bidder  uint64 // a Person's ID; three quarters are of a hot one
	Price   uint64 // 100 to 2^26 + 99, log-uniform
	TS      int64  // event time, Unix ms
}

// Event is one event of the stream: the field that Kind names is valid, the
// others hold whatever was there before. It is 19 words: carry it by pointer.
type Event struct {
	Kind    Kind
	TS      int64 // event time, Unix ms; the same as in the valid field
	Person  Person
	Auction Auction
	Bid     Bid
}

// Fill makes e event number n. It allocates nothing.
func Fill(e *Event, n uint64) {
	epoch := n / 50
	off := n - epoch*50
	z := origin(n)
	ts := eventTime(n, z)
	e.TS = ts
	switch {
	case off == 0:
		e.Kind = IsPerson
		fillPerson(&e.Person, epoch, z, ts)
	case off < 4:
		e.Kind = IsAuction
		fillAuction(&e.Auction, epoch, off, z, ts)
	default:
		e.Kind = IsBid
		FillBid(&e.Bid, n)
	}
}

// FillBid makes b event number n if that is a bid, and says whether it is;
// otherwise b is left alone. It is [Fill] for queries that look at bids only.
func FillBid(b *Bid, n uint64) bool {
	epoch := n / 50
	if n-epoch*50 < 4 {
		return false
	}
	z := origin(n)
	last := 3*epoch + 2 // the latest auction
	a, w, p := word(z, 1), word(z, 2), word(z, 3)
	if a&1 != 0 {
		b.Auction = 1000 + last/100*100
	} else {
		first := max(last, 100) - 100
		b.Auction = 1000 + first + below(a, last-first+1)
	}
	if w&3 != 0 {
		b.Bidder = 1000 + epoch/100*100 + 1
	} else {
		b.Bidder = 1000 + active(epoch, w)
	}
	b.Price = 100 + p>>(57-(p&0xFFFF)*20>>16)
	b.TS = eventTime(n, z)
	return true
}

// FillPerson is [FillBid] for persons.
func FillPerson(p *Person, n uint64) bool {
	epoch := n / 50
	if n != epoch*50 {
		return false
	}
	z := origin(n)
	fillPerson(p, epoch, z, eventTime(n, z))
	return true
}

// FillAuction is [FillBid] for auctions.
func FillAuction(a *Auction, n uint64) bool {
	epoch := n / 50
	off := n - epoch*50
	if off-1 >= 3 {
		return false
	}
	z := origin(n)
	fillAuction(a, epoch, off, z, eventTime(n, z))
	return true
}

// Key is the key of event n in query w3: uniform over [0, Keys).
func Key(n uint64) uint64 { return below(word(origin(n), 7), Keys) }

func fillPerson(p *Person, epoch, z uint64, ts int64) {
	p.ID = 1000 + epoch
	p.Name = names[below(word(z, 1), 11)*9+below(word(z, 2), 9)]
	p.City = cities[below(word(z, 3), 10)]
	p.State = states[below(word(z, 4), 6)]
	p.TS = ts
}

func fillAuction(a *Auction, epoch, off, z uint64, ts int64) {
	a.ID = 1000 + 3*epoch + off - 1
	if s := word(z, 1); s&3 != 0 {
		a.Seller = 1000 + epoch/100*100
	} else {
		a.Seller = 1000 + active(epoch, s)
	}
	a.Category = 10 + below(word(z, 2), 5)
	a.Expires = ts + 500 + int64(below(word(z, 3), 1500))
	a.TS = ts
}

// origin is where the random words of event n begin: word k of event n is
// number 8n+k of splitmix64's outputs, so no event needs more than eight.
func origin(n uint64) uint64 { return seed + (8*n+1)*gamma }

func word(origin, k uint64) uint64 { return Mix64(origin + k*gamma) }

// below maps a random x to [0, m), for m up to 2^31.
func below(x, m uint64) uint64 { return (x >> 32) * m >> 32 }

func eventTime(n, origin uint64) int64 {
	return Base + int64(n/10) - int64(below(word(origin, 0), 1000))
}

// active picks one of the latest 1000 persons, the latest being number last.
func active(last, x uint64) uint64 {
	persons := last + 1
	n := min(persons, 1000)
	return persons - n + below(x, n)
}

var (
	cities = [10]string{"Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne"}
	states = [6]string{"AZ", "CA", "ID", "OR", "WA", "WY"}
	names  = fullNames()
)

// fullNames is every first name with every last name, so that a person costs no
// concatenation.
func fullNames() (names [99]string) {
	first := [11]string{"Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"}
	last := [9]string{"Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"}
	for i := range names {
		names[i] = first[i/9] + " " + last[i%9]
	}
	return names
}
