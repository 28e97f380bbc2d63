package conformance

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"

	"sigs.k8s.io/gateway-api/conformance"
	"sigs.k8s.io/gateway-api/conformance/tests"
)

var (
	runner     = flag.Bool("runner", false, "run the suite and summarise it; flags of the suite are passed on")
	impl       = flag.String("impl", "", "with -runner: shell command that starts the implementation")
	logDir     = flag.String("log-dir", ".", "with -runner: folder for suite.log and implementation.log")
	patience   = flag.Duration("patience", 0, "with -runner: how long the GatewayClass may take to be accepted (15s, 1m with -impl)")
	controller = flag.String("controller-name", "rauta.io/gateway-controller", "with -runner: of the GatewayClass")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if !*runner {
		os.Exit(m.Run())
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	r := &Runner{
		Class: flag.Lookup("gateway-class").Value.String(), ControllerName: *controller, Impl: *impl, Patience: *patience, LogDir: *logDir,
		Suite: func(ctx context.Context) *exec.Cmd { return child(ctx, SuiteEnv, "TestConformance", passOn()...) },
		Tests: tests.ConformanceTests, Top: "TestConformance", Out: os.Stdout,
	}
	code := r.Run(ctx)
	cancel()
	Wait()
	os.Exit(code)
}

// child is this binary again, to run one test whose subtests are the suite's.
func child(ctx context.Context, env, test string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0],
		append([]string{"-test.v=test2json", "-test.run=^" + test + "$", "-test.timeout=" + suiteTimeout}, args...)...)
	cmd.Env = append(os.Environ(), env+"=1")
	return cmd
}

// passOn gives the flags that are the suite's own, as they were given here.
func passOn() []string {
	own := map[string]bool{"runner": true, "impl": true, "log-dir": true, "patience": true, "controller-name": true}
	var out []string
	flag.Visit(func(f *flag.Flag) {
		if !own[f.Name] {
			out = append(out, "-"+f.Name+"="+f.Value.String())
		}
	})
	return out
}

// TestConformance is the suite. It wants a cluster: `make test-conformance` runs it in one.
func TestConformance(t *testing.T) {
	if os.Getenv(SuiteEnv) == "" {
		t.Skip("the suite runs in a cluster: make test-conformance")
	}
	Serial(tests.ConformanceTests)
	conformance.RunConformance(t)
}
