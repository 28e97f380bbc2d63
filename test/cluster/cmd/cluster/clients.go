package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"rauta.io/cluster/internal/control"
	"rauta.io/cluster/internal/plane"
	"rauta.io/cluster/internal/sandbox"
	"rauta.io/cluster/internal/writes"
)

const (
	upTimeout   = 3 * time.Minute
	downTimeout = 30 * time.Second
	poll        = 50 * time.Millisecond
	outputName  = "output.log" // what a cluster in the background prints
)

// up starts a cluster that outlives this process.
func up(args []string) int {
	o, rest := parseRun("up", args)
	if o.dir == "" || len(rest) > 0 {
		fmt.Fprintln(os.Stderr, "cluster: up wants --dir, and no command")
		return exitUsage
	}
	if err := o.makeDir(); err != nil {
		return fail(err)
	}
	lock, err := lockDir(o.dir) // asked for here, so that nobody takes another cluster for this one
	if err != nil {
		return fail(err)
	}
	lock.Close()
	self, err := os.Executable()
	if err != nil {
		return fail(err)
	}
	out, err := os.Create(filepath.Join(o.dir, outputName))
	if err != nil {
		return fail(err)
	}
	c := exec.Command(self, append([]string{"run"}, o.args()...)...)
	c.Stdout, c.Stderr = out, out
	c.Dir = "/"
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.Start(); err != nil {
		return fail(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	deadline := time.After(upTimeout)
	for {
		r, err := control.Ask(o.dir, &control.Request{Op: control.OpStatus})
		if err == nil && r.Status.Ready {
			fmt.Printf("cluster: ready, kubeconfig %s (of use inside: cluster exec)\n", r.Status.Kubeconfig)
			return 0
		}
		select {
		case <-ended:
			if b, err := os.ReadFile(out.Name()); err == nil {
				os.Stderr.Write(b)
			}
			return exitFailed
		case <-deadline:
			_ = c.Process.Kill() // it is over with it either way
			return fail(fmt.Errorf("not ready after %s; see %s", upTimeout, o.dir))
		case <-time.After(poll):
		}
	}
}

func down(args []string) int {
	dir, err := target("down", args)
	if err != nil {
		return fail(err)
	}
	if _, err := control.Ask(dir, &control.Request{Op: control.OpStop}); err != nil {
		return fail(err)
	}
	for end := time.Now().Add(downTimeout); time.Now().Before(end); time.Sleep(poll) {
		if f, err := lockDir(dir); err == nil { // the outer process has let go of it
			f.Close()
			return 0
		}
	}
	return fail(fmt.Errorf("still there after %s", downTimeout))
}

// target reads the flags of a command that has --dir and nothing else.
func target(name string, args []string) (string, error) {
	fs := flag.NewFlagSet("cluster "+name, flag.ExitOnError)
	dir := dirFlag(fs)
	parse(fs, args)
	return dir()
}

func status(args []string) int {
	dir, err := target("status", args)
	if err != nil {
		return fail(err)
	}
	r, err := control.Ask(dir, &control.Request{Op: control.OpStatus})
	if err != nil {
		return fail(err)
	}
	return printJSON(r.Status)
}

func printJSON(v any) int {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fail(err)
	}
	fmt.Println(string(b))
	return 0
}

// execIn asks the cluster to run a command on this process's own stdin, stdout and stderr. So it is
// inside all of the cluster's namespaces, with root or without.
func execIn(args []string) int {
	fs := flag.NewFlagSet("cluster exec", flag.ExitOnError)
	dirOf := dirFlag(fs)
	parse(fs, args)
	dir, err := dirOf()
	if err != nil {
		return fail(err)
	}
	if fs.NArg() == 0 {
		usage()
	}
	path, err := exec.LookPath(fs.Arg(0))
	if err != nil {
		return fail(err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return fail(err)
	}
	cwd, err := os.Getwd()
	if err != nil {
		return fail(err)
	}
	c, err := control.Dial(dir)
	if err != nil {
		return fail(err)
	}
	defer c.Close()
	sig := make(chan os.Signal, 4) // before the command can be heard of, so that none is missed
	signal.Notify(sig, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	cmd := &control.Command{Args: append([]string{path}, fs.Args()[1:]...), Env: sandbox.CleanEnv(prefix), Dir: cwd}
	if err := c.Send(&control.Request{Op: control.OpExec, Command: cmd}, 0, 1, 2); err != nil {
		return fail(err)
	}
	go func() {
		for s := range sig {
			if n, ok := s.(syscall.Signal); ok {
				_ = c.Send(&control.Request{Op: control.OpSignal, Signal: int(n)}) // Receive will tell if it has gone
			}
		}
	}()
	r, err := c.Receive()
	if err != nil {
		return fail(err)
	}
	if r.Exit == nil {
		return fail(errors.New("no exit status"))
	}
	return *r.Exit
}

func faultsCommand(args []string) int {
	fs := flag.NewFlagSet("cluster faults", flag.ExitOnError)
	dirOf := dirFlag(fs)
	parse(fs, args)
	dir, err := dirOf()
	if err != nil {
		return fail(err)
	}
	r := &control.Request{Op: control.OpFaults}
	switch {
	case fs.NArg() == 0 || fs.NArg() == 1 && fs.Arg(0) == "get":
	case fs.NArg() == 1 && fs.Arg(0) == "clear":
		r = &control.Request{Op: control.OpSetFaults, Faults: json.RawMessage("{}")}
	case fs.NArg() == 2 && fs.Arg(0) == "set":
		b := []byte(fs.Arg(1))
		if fs.Arg(1) == "-" {
			if b, err = io.ReadAll(os.Stdin); err != nil {
				return fail(err)
			}
		}
		if !json.Valid(b) {
			return fail(fmt.Errorf("not JSON: %s", bytes.TrimSpace(b)))
		}
		r = &control.Request{Op: control.OpSetFaults, Faults: b}
	default:
		usage()
	}
	answer, err := control.Ask(dir, r)
	if err != nil {
		return fail(err)
	}
	return printJSON(answer.Faults)
}

func writesCommand(args []string) int {
	fs := flag.NewFlagSet("cluster writes", flag.ExitOnError)
	dirOf := dirFlag(fs)
	text := fs.String("since", "", "count from this `TIME` on (RFC 3339, as printed in \"until\" by an earlier count)")
	parse(fs, args)
	dir, err := dirOf()
	if err != nil {
		return fail(err)
	}
	var since time.Time
	if *text != "" {
		if since, err = time.Parse(time.RFC3339Nano, *text); err != nil {
			return fail(err)
		}
	}
	f, err := os.Open(filepath.Join(dir, plane.AuditLog))
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	r, err := writes.Count(f, since)
	if err != nil {
		return fail(err)
	}
	return printJSON(r)
}
