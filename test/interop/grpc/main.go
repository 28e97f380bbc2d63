// A server and a client of gRPC by the library of Go, with the service and the cases of gRPC's own interoperability
// tests (google.golang.org/grpc/interop) and some of more weight.
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		serve(os.Args[2])
		return
	}
	if len(os.Args) == 4 && os.Args[1] == "call" {
		call(os.Args[2], os.Args[3])
		return
	}
	fmt.Fprintln(os.Stderr, "usage: interop serve ADDRESS | call CASE ADDRESS")
	os.Exit(2)
}
