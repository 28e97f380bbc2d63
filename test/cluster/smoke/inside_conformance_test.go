package smoke

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestInsideConformanceRunner: with no implementation, or one that does not live, the suite's runner says
// so at once, and counts nothing as passed.
func TestInsideConformanceRunner(t *testing.T) {
	runner := filepath.Join(filepath.Dir(os.Getenv(binEnv)), "conformance.test")
	const atOnce = 10 * time.Second
	for impl, want := range map[string]string{
		"":                            "no implementation: nobody accepted GatewayClass smoke-class (controller example.test/nobody) within 1s",
		"echo no luck; exit 3":        "the implementation ended at its start (exit status 3)",
		"trap '' TERM; sleep 31234 &": "the implementation ended at its start (",
		"exec sleep 31234":            "the implementation did not accept GatewayClass smoke-class",
	} {
		dir := t.TempDir()
		began := time.Now()
		out, err := exec.Command(runner, "-runner", "-log-dir", dir, "-impl", impl, "-patience", "1s",
			"-gateway-class", "smoke-class", "-controller-name", "example.test/nobody").CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) || !strings.Contains(string(out), "conformance: 0 passed, 0 failed, 131 skipped") {
			t.Errorf("%q: %v: %s", impl, err, out)
		}
		if took := time.Since(began); took > atOnce {
			t.Errorf("%q: said after %s only", impl, took)
		}
		if impl == "" {
			continue
		}
		log, err := os.ReadFile(filepath.Join(dir, "implementation.log"))
		if must(t, err); strings.HasPrefix(impl, "echo") && string(log) != "no luck\n" {
			t.Errorf("implementation.log: %q", log)
		}
	}
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(t, err)
	for _, f := range all {
		if b, err := os.ReadFile(f); err == nil && string(b) == "sleep\x0031234\x00" {
			t.Errorf("an implementation is left: %s", f)
		}
	}
}
