package batch

import (
	"encoding/binary"
	"hash/crc32"
)

// HeaderSize is what a batch has before its records, in bytes.
const HeaderSize = 61

const (
	atLength      = 8
	atEpoch       = 12
	atMagic       = 16
	atSum         = 17
	atAttributes  = 21
	atLastDelta   = 23
	atBaseTime    = 27
	atMaxTime     = 35
	atProducer    = 43
	atProdEpoch   = 51
	atSequence    = 53
	atCount       = 57
	beforeLength  = 12 // what the length does not count
	minimumLength = HeaderSize - beforeLength
)

const (
	codecMask     = 7
	logAppendTime = 1 << 3
	transactional = 1 << 4
	control       = 1 << 5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header looks into one batch, which has at least HeaderSize bytes.
type header []byte

func (h header) base() int64       { return int64(binary.BigEndian.Uint64(h)) }
func (h header) size() int64       { return int64(h.length()) + beforeLength }
func (h header) length() int32     { return int32(binary.BigEndian.Uint32(h[atLength:])) }
func (h header) epoch() int32      { return int32(binary.BigEndian.Uint32(h[atEpoch:])) }
func (h header) attributes() int   { return int(binary.BigEndian.Uint16(h[atAttributes:])) }
func (h header) lastDelta() int32  { return int32(binary.BigEndian.Uint32(h[atLastDelta:])) }
func (h header) baseTime() int64   { return int64(binary.BigEndian.Uint64(h[atBaseTime:])) }
func (h header) maxTime() int64    { return int64(binary.BigEndian.Uint64(h[atMaxTime:])) }
func (h header) producer() int64   { return int64(binary.BigEndian.Uint64(h[atProducer:])) }
func (h header) count() int32      { return int32(binary.BigEndian.Uint32(h[atCount:])) }
func (h header) sum() uint32       { return binary.BigEndian.Uint32(h[atSum:]) }
func (h header) summed() uint32    { return crc32.Checksum(h[atAttributes:], castagnoli) }
func (h header) is(attr int) bool  { return h.attributes()&attr != 0 }
func (h header) codec() Codec      { return Codec(h.attributes() & codecMask) }
func (h header) records() []byte   { return h[HeaderSize:] }
func (h header) lastOffset() int64 { return h.base() + int64(h.lastDelta()) }

func (h header) seal()                { binary.BigEndian.PutUint32(h[atSum:], h.summed()) }
func (h header) setBase(offset int64) { binary.BigEndian.PutUint64(h, uint64(offset)) }
