# The proving ground: a real Kubernetes API server, pretended nodes, and the official conformance
# suite. Guide: test/cluster/README.md

.PHONY: cluster-up cluster-down cluster-exec kubectl test-cluster test-conformance

# The value of a variable as one word of the shell's, as it was given: `$` and quotes stay as they are.
cluster_word = '$(subst ','\'',$(value $(1)))'
cluster_name = NAME=$(call cluster_word,NAME)

cluster-up: ## start a cluster in the background (NAME=, CLUSTER_FLAGS=--faults)
	@$(cluster_name) CLUSTER_FLAGS=$(call cluster_word,CLUSTER_FLAGS) test/cluster/cluster.sh up

cluster-down: ## stop it
	@$(cluster_name) test/cluster/cluster.sh down

cluster-exec: ## run CMD inside it
	@$(cluster_name) test/cluster/cluster.sh exec sh -c $(call cluster_word,CMD)

kubectl: ## kubectl with ARGS, inside it
	@$(cluster_name) test/cluster/cluster.sh kubectl $(value ARGS)

test-cluster: ## the cluster's own tests; skipped, with the reason, where it cannot run
	@test/cluster/test.sh

test-conformance: ## the official Gateway API suite (RUN=Test, KEEP=1, IMPL='command')
	@$(cluster_name) RUN=$(call cluster_word,RUN) KEEP=$(call cluster_word,KEEP) IMPL=$(call cluster_word,IMPL) test/conformance/run.sh
