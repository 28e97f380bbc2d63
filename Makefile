# RAUTA: `make run` serves the quickstart, `make test` runs every check this machine can. See README.md.
SHELL := /bin/sh
.DEFAULT_GOAL := help

-include mk/*.mk

.PHONY: help deps
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  %-18s %s\n", $$1, $$2}'

deps: ## install what is missing (Node, npm packages), nothing else
	@sh tools/deps.sh
