# What is given to others. Guide: docs/operations/kubernetes.md, decision: docs/adr/0021-artifacts.md

.PHONY: dist image install uninstall

dist: deps ## an archive that runs as it is: dist/rauta-VERSION-linux-ARCH.tar.gz
	@sh bin/node --disable-warning=ExperimentalWarning tools/dist/dist.ts archive

image: deps ## an OCI layout of it, made without a container engine: dist/image
	@sh bin/node --disable-warning=ExperimentalWarning tools/dist/dist.ts image

PREFIX ?= /usr/local
INSTALL = @PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" sh bin/node --disable-warning=ExperimentalWarning tools/dist/install.ts
install: deps ## the program, its systemd unit and its completions under PREFIX (/usr/local), below DESTDIR
	$(INSTALL) install

uninstall: deps ## takes away what install put there
	$(INSTALL) uninstall
