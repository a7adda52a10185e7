package gen

import "sync"

const (
	textSeed    uint64 = 4242
	wordsInLine        = 10
	lineMax            = wordsInLine*10 + wordsInLine - 1 // a word has 3 to 10 letters
)

// TextLine is line i of the text of query w1: ten words with single spaces
// between them and no newline. It allocates the string and nothing else; the
// first call also makes the vocabulary, in a few milliseconds.
func TextLine(i uint64) string {
	var b [lineMax]byte
	return string(AppendTextLine(b[:0], i))
}

// AppendTextLine appends [TextLine] of i to b.
func AppendTextLine(b []byte, i uint64) []byte {
	words := Vocabulary()
	for k := range uint64(wordsInLine) {
		if k > 0 {
			b = append(b, ' ')
		}
		b = append(b, words[wordRank(wordsInLine*i+k)]...)
	}
	return b
}

// Vocabulary is the words of the text by rank: the lower a word's rank, the
// more often it comes. It has 65,536 entries, of which the first (rank 0) is
// empty; two ranks may have the same word. It is shared: don't write to it.
func Vocabulary() []string { return vocabulary() }

var vocabulary = sync.OnceValue(func() []string {
	words := make([]string, 1<<16)
	for r := 1; r < len(words); r++ {
		h := Mix64(uint64(r))
		x := h >> 3
		w := make([]byte, 3+h&7)
		for i := range w {
			w[i] = byte('a' + x%26)
			x /= 26
		}
		words[r] = string(w)
	}
	return words
})

// wordRank is the rank of word j of the text, 1 to 65535, with a probability of
// about 1/rank (Zipf's law).
func wordRank(j uint64) int {
	a := Mix64(textSeed + (j+1)*gamma)
	e := a & 15
	if e == 0 {
		return 1
	}
	return 1<<e + int(a>>(64-e))
}
