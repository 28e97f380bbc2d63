package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"rauta.io/cluster/internal/sandbox"
)

const tempPrefix = "rauta-cluster-"

// run is the outer process: it starts this program again in new namespaces and waits for it. It
// holds nothing else, and when it is killed the kernel kills the rest.
func run(args []string) int {
	o, cmdline := parseRun("run", args)
	if os.Getenv(innerEnv) != "" {
		return inner(o, cmdline)
	}
	if err := o.makeDir(); err != nil {
		return fail(err)
	}
	if o.temporary {
		defer os.Remove(o.dir) // empty: what was in it was in memory
	} else {
		lock, err := lockDir(o.dir)
		if err != nil {
			return fail(err)
		}
		defer lock.Close()
	}
	self, err := os.Executable()
	if err != nil {
		return fail(err)
	}
	c := sandbox.Command(self, append(append([]string{"run"}, o.args()...), append([]string{"--"}, cmdline...)...)...)
	c.Env = append(c.Env, innerEnv+"=1")
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	sig := make(chan os.Signal, 4)
	signal.Notify(sig, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	if err := sandbox.Start(c); err != nil {
		return fail(err)
	}
	go func() {
		for s := range sig {
			if s == syscall.SIGINT && terminal(os.Stdin) {
				continue // the terminal has sent it to all of us
			}
			_ = c.Process.Signal(s) // it may have just ended
		}
	}()
	err = c.Wait()
	var ended *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &ended) && ended.ExitCode() >= 0:
		return ended.ExitCode()
	}
	return fail(fmt.Errorf("the process inside was killed: %w", err))
}

func terminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// makeDir makes the cluster's folder. One of its own is an empty folder over which the inner process
// mounts a file system in memory, so that even kill -9 leaves no more than the empty folder, which the
// next start removes.
func (o *options) makeDir() error {
	if o.dir != "" {
		dir, err := filepath.Abs(o.dir)
		if err != nil {
			return err
		}
		o.dir = dir
		return os.MkdirAll(dir, 0o755)
	}
	sweep()
	dir, err := os.MkdirTemp("", tempPrefix+strconv.Itoa(os.Getpid())+"-")
	o.dir, o.temporary = dir, true
	return err
}

// sweep removes the empty folders of clusters that are no more.
func sweep() {
	old, err := filepath.Glob(filepath.Join(os.TempDir(), tempPrefix+"*"))
	if err != nil {
		return
	}
	for _, d := range old {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(d), tempPrefix), "-")
		if _, err := os.Stat("/proc/" + pid); os.IsNotExist(err) {
			_ = os.Remove(d) // somebody else's stays
		}
	}
}

// lockDir makes sure that no two clusters share a folder.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("a cluster already runs in %s", dir)
	}
	return f, nil
}
