module rauta.io/nethttp

go 1.26.0
