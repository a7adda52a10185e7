module github.com/millrace/millrace/bench/peers/go-ref

go 1.26
