//go:build tools

package tools

// The echo server of the conformance suite is a main package: this import keeps it in go.mod.
import _ "sigs.k8s.io/gateway-api/conformance/echo-basic"
