# What people run by hand. .ci/run does the same and more, on a clean checkout.

# The newest Go whose features an optional file may use; see pipeline/methods_go127.go.
GO_NEWEST := go1.27.3

# All Go files, and those among them that only the newest gofmt can read.
GO_FILES    := find . -name '*.go' -not -path './.git/*' -not -path '*/testdata/*'
NEWER_FILES := '/([^/]*_go127|methods)\.go$$'

.PHONY: check fmt-check fmt vet staticcheck archtest race test newest fuzz simulate size tools chaos bench-peers kafka

# check is what has to pass before a commit.
check: fmt-check vet staticcheck archtest race

fmt-check:
	@bad=$$($(GO_FILES) | grep -vE $(NEWER_FILES) | xargs -r gofmt -l); \
	 newer=$$($(GO_FILES) | grep -E $(NEWER_FILES) || true); \
	 [ -z "$$newer" ] || bad="$$bad $$($$(GOTOOLCHAIN=$(GO_NEWEST) go env GOROOT)/bin/gofmt -l $$newer)"; \
	 if [ -n "$$(echo $$bad)" ]; then echo "not gofmt-ed (make fmt):" $$bad; exit 1; fi

fmt:
	$(GO_FILES) | grep -vE $(NEWER_FILES) | xargs -r gofmt -w
	$(GO_FILES) | grep -E $(NEWER_FILES) | xargs -r $$(GOTOOLCHAIN=$(GO_NEWEST) go env GOROOT)/bin/gofmt -w

vet:
	go vet ./...

staticcheck: tools
	bin/staticcheck ./...

archtest:
	go test ./internal/archtest

race:
	go test -race -short ./...

test:
	go test ./...

# newest holds the tree to the newest Go as well.
newest:
	GOTOOLCHAIN=$(GO_NEWEST) go vet ./...
	GOTOOLCHAIN=$(GO_NEWEST) go test -short ./...

# fuzz gives each fuzz target some thousand inputs: FUZZTIME=1m for longer.
fuzz:
	.ci/fuzz

# simulate runs the life of a slot for SIMTIME, and the protocol of many on SEEDS seeds of
# at least 15 faults each (10,000 take a quarter of an hour), all of them seeds that nobody
# has seen: a failure prints the command that runs its seed again. Then it shows that
# planted bugs are found.
simulate:
	go test ./internal/commit/sim -run 'TestSim$$' -count=1 -timeout 0 -for=$(or $(SIMTIME),1m) -v
	go test ./internal/held/sim -run 'TestSim$$' -count=1 -timeout 0 -fresh=$(or $(SEEDS),10000) -least=15 -v
	go test -tags planted ./internal/commit/sim ./internal/held ./internal/held/sim ./internal/engine/shuffletest -run findsPlantedBugs -count=1 -v

# chaos breaks a job of real processes by SCHEDULES schedules, from SEED on, two in five of
# which have faults that meet others: a failure prints the command that runs its seed again.
chaos:
	go test -tags invariant ./internal/chaos -run TestRun -count=1 -timeout 0 -schedules=$(or $(SCHEDULES),300) -seed=$(or $(SEED),1000) -v

# size holds binaries to their limits and to the libraries they may link.
size:
	.ci/size

# tools builds the pinned linters; the go command rebuilds them only when the pin changes.
tools:
	go build -C internal/devtools -o $(CURDIR)/bin/staticcheck honnef.co/go/tools/cmd/staticcheck

# bench-peers runs the benchmark queries beside other engines: ARGS='-q w2 -runs 3' and so on.
bench-peers:
	go run ./bench/peers/compare $(ARGS)

# kafka runs a real Apache Kafka in the foreground and prints its address: NODES=3 for three.
kafka:
	go run ./internal/kafkatest/cmd/kafka -nodes $(or $(NODES),1)
