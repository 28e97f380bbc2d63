// Package conformance runs the official Gateway API suite, unmodified, and says in plain words how
// it went. Its test binary is the suite's: it starts itself again for that, reads what the suite
// prints, and judges by the exit status and by each test's own result, not by the suite's report
// alone.
package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
)

const (
	// SuiteEnv is set for the process that runs the suite itself.
	SuiteEnv = "RAUTA_CONFORMANCE_SUITE"

	acceptAlone   = 15 * time.Second // for a GatewayClass, when nobody was started to accept it
	acceptStarted = 60 * time.Second // and when somebody was
	acceptPoll    = 200 * time.Millisecond
	implGrace     = 20 * time.Second // for the implementation, between SIGTERM and SIGKILL
	suiteTimeout  = "80m"
	exitFailed    = 1
)

var gatewayClasses = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gatewayclasses"}

// Runner is one run of the suite.
type Runner struct {
	Class          string        // GatewayClass, made if it is not there
	ControllerName string        // in its spec
	Impl           string        // shell command that starts the implementation; none when empty
	Patience       time.Duration // for the GatewayClass to be accepted; 0: as long as is usual
	LogDir         string        // suite.log and implementation.log
	Suite          func(ctx context.Context) *exec.Cmd
	Tests          []suite.ConformanceTest
	Top            string // the Go test that holds the suite
	Out            io.Writer

	gone <-chan error // tells of the end of the implementation; nil when none was started
}

// Run runs it and returns the exit status.
func (r *Runner) Run(ctx context.Context) int {
	if err := r.ready(ctx); err != nil {
		fmt.Fprintln(r.Out, "conformance:", err)
		return r.total(nil, exitFailed)
	}
	out, code, err := r.suite(ctx)
	if err != nil {
		fmt.Fprintln(r.Out, "conformance:", err)
		return r.total(nil, exitFailed)
	}
	return r.finish(out, code)
}

// finish says how it went and returns the exit status.
func (r *Runner) finish(out *Output, code int) int {
	fmt.Fprintln(r.Out)
	if err := Summary(r.Out, r.Tests, out.Results); err != nil {
		fmt.Fprintln(r.Out, "conformance:", err)
		code = exitFailed
	}
	if code != 0 && !out.anyFailed() {
		fmt.Fprintf(r.Out, "\nthe suite itself failed: %s\n", out.Error)
	}
	select {
	case err := <-r.gone:
		fmt.Fprintf(r.Out, "\nthe implementation ended before the suite did (%v): see %s\n", err, filepath.Join(r.LogDir, "implementation.log"))
		code = max(code, exitFailed)
	default:
	}
	return r.total(out.Results, code)
}

// total prints the last line. A run that failed no test and passed none has proven nothing.
func (r *Runner) total(results []Result, code int) int {
	passed, failed, skipped := Count(r.Tests, results)
	if code == 0 && (failed > 0 || passed == 0) {
		code = exitFailed
	}
	fmt.Fprintf(r.Out, "\nconformance: %d passed, %d failed, %d skipped (log: %s)\n", passed, failed, skipped, filepath.Join(r.LogDir, "suite.log"))
	return code
}

// ready makes the GatewayClass, starts the implementation and waits until it has accepted it.
func (r *Runner) ready(ctx context.Context) error {
	conf, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(conf)
	if err != nil {
		return err
	}
	class := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": map[string]any{"name": r.Class},
		"spec": map[string]any{"controllerName": r.ControllerName},
	}}
	if _, err := client.Resource(gatewayClasses).Apply(ctx, r.Class, class, metav1.ApplyOptions{FieldManager: "conformance", Force: true}); err != nil {
		return fmt.Errorf("GatewayClass %s: %w", r.Class, err)
	}
	patience := acceptAlone
	if r.Impl != "" {
		if r.gone, err = r.startImpl(ctx); err != nil {
			return err
		}
		patience = acceptStarted
	}
	if r.Patience > 0 {
		patience = r.Patience
	}
	deadline := time.After(patience)
	for {
		got, err := client.Resource(gatewayClasses).Get(ctx, r.Class, metav1.GetOptions{})
		if err == nil && accepted(got) {
			return nil
		}
		select {
		case err := <-r.gone:
			return fmt.Errorf("the implementation ended at its start (%v): see %s", err, filepath.Join(r.LogDir, "implementation.log"))
		case <-deadline:
			if r.Impl == "" {
				return fmt.Errorf("no implementation: nobody accepted GatewayClass %s (controller %s) within %s; IMPL='command' starts one",
					r.Class, r.ControllerName, patience)
			}
			return fmt.Errorf("the implementation did not accept GatewayClass %s (controller %s) within %s", r.Class, r.ControllerName, patience)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(acceptPoll):
		}
	}
}

func accepted(class *unstructured.Unstructured) bool {
	conds, _, err := unstructured.NestedSlice(class.Object, "status", "conditions")
	if err != nil {
		return false
	}
	for _, c := range conds {
		if m, ok := c.(map[string]any); ok && m["type"] == "Accepted" && m["status"] == "True" {
			return true
		}
	}
	return false
}

// startImpl starts the implementation in a process group of its own, and ends it with ctx.
func (r *Runner) startImpl(ctx context.Context) (<-chan error, error) {
	log, err := os.Create(filepath.Join(r.LogDir, "implementation.log"))
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", r.Impl)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = implGrace
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("the implementation: %w", err)
	}
	gone := make(chan error, 1)
	implementations.Go(func() {
		gone <- cmd.Wait()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // whatever it left behind
		log.Close()
	})
	return gone, nil
}

// implementations are those still running; Wait waits for their end.
var implementations sync.WaitGroup

// Wait waits until every implementation that was started has ended.
func Wait() { implementations.Wait() }

// suite runs the suite and reads what it prints.
func (r *Runner) suite(ctx context.Context) (*Output, int, error) {
	log, err := os.Create(filepath.Join(r.LogDir, "suite.log"))
	if err != nil {
		return nil, 0, err
	}
	defer log.Close()
	cmd := r.Suite(ctx)
	rd, wr, err := os.Pipe()
	if err != nil {
		return nil, 0, err
	}
	cmd.Stdout, cmd.Stderr = wr, wr
	if err := cmd.Start(); err != nil {
		return nil, 0, err
	}
	wr.Close()
	out := NewOutput(r.Top, len(r.Tests), r.Out)
	readErr := out.Read(rd, log)
	err = cmd.Wait()
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
		return out, max(ended.ExitCode(), exitFailed), readErr
	case err != nil:
		return out, exitFailed, err
	}
	return out, 0, readErr
}
