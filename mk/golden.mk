.PHONY: golden
golden: deps ## rewrite the golden outputs of translation (review what changes)
	@bin/node tools/golden.ts
