# RAUTA: `make run` serves the quickstart, `make test` runs every check this machine can. See README.md.
SHELL := /bin/sh
.DEFAULT_GOAL := help

-include mk/*.mk

.PHONY: help deps
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  %-18s %s\n", $$1, $$2}'

deps: ## install what is missing (Node, npm packages), nothing else
	@sh tools/deps.sh

.PHONY: run test test-fast golden fuzz soak soak-mixed bench
run: deps ## serve the quickstart (CONFIG=DIR serves DIR instead)
	@sh bin/node tools/run.ts $(if $(CONFIG),--config "$(CONFIG)")

test: deps ## every check this machine can run
	@sh bin/node tools/test.ts all

test-fast: deps ## types, lint, tidy, unit and golden tests, under a minute
	@sh bin/node tools/test.ts fast

golden: deps ## rewrite the golden files of the translator
	@sh bin/node tools/golden.ts

bench: deps ## CPU per request side by side with the peers on this machine (nginx, haproxy, envoy; wrk, h2load and cc are needed)
	@sh bin/node bench/macro/bench.ts $(BENCH)

soak: deps ## 64 connections for 10 minutes, byte-compared, with aborts (SOAK='--seconds 60' for less, '--tls' over TLS)
	@sh bin/node test/soak/soak.ts $(SOAK)

soak-mixed: deps ## HTTP/1.1, HTTP/2, gRPC and WebSockets over TLS for 20 minutes, with rotation and resets (SOAK='--seconds 60' for less)
	@sh bin/node test/soak/mixed.ts $(SOAK)

FUZZ_SECONDS ?= 60
fuzz: deps ## each fuzzer for FUZZ_SECONDS (60), and the simulation for as many seeds as fit
	@FUZZ_SECONDS=$(FUZZ_SECONDS) sh bin/node --disable-warning=ExperimentalWarning --test --test-concurrency=1 'test/fuzz/*.test.ts' src/native/abuse.test.ts
	@ATTACK_SECONDS=$(FUZZ_SECONDS) sh bin/node --disable-warning=ExperimentalWarning --test --test-concurrency=1 test/attack/random.test.ts test/attack/upstream.test.ts
	@SEEDS=$$(($(FUZZ_SECONDS) * 10)) sh bin/node --disable-warning=ExperimentalWarning --test test/sim/proxy.test.ts
