// Package sandbox gives the cluster namespaces of its own: network, mounts, processes and, without
// root, users. The program starts itself again as the first process of a new process namespace.
// When that process dies, for whatever reason, the kernel kills everything inside and takes
// mounts, links and addresses away: there is nothing to clean up, even after kill -9.
package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// usersEnv is set inside when the namespaces belong to a new user namespace.
const usersEnv = "RAUTA_CLUSTER_USERNS"

// Unprivileged says whether this process is root only in a user namespace of the sandbox.
func Unprivileged() bool { return os.Getenv(usersEnv) != "" }

// Command returns a command that will run inside new namespaces and die with the calling process.
// It must be started by Start.
func Command(path string, args ...string) *exec.Cmd {
	c := exec.Command(path, args...)
	c.Env = os.Environ()
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	if os.Geteuid() != 0 {
		c.Env = append(c.Env, usersEnv+"=1")
		c.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return c
}

// Start starts a command made by Command. The calling goroutine keeps its thread from then on:
// the kernel sends the parent-death signal when the thread that forked ends, not the process.
func Start(c *exec.Cmd) error {
	runtime.LockOSThread()
	if err := c.Start(); err != nil {
		return fmt.Errorf("%s: %w", explain(err), err)
	}
	return nil
}

// explain says in words what a refusal of new namespaces means.
func explain(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return "new namespaces are refused: the limit in /proc/sys/user/max_*_namespaces is reached"
	case errors.Is(err, syscall.EPERM) && os.Geteuid() != 0:
		return "new namespaces are refused: run as root, or allow user namespaces to users"
	case errors.Is(err, syscall.EPERM):
		return "new namespaces are refused to root: is this a container without CAP_SYS_ADMIN?"
	case errors.Is(err, syscall.EINVAL):
		return "new namespaces are refused: the kernel was built without them"
	}
	return "cannot start in new namespaces"
}

// Enter is the first thing the inner process does: its mounts become its own, and /proc shows its
// own process namespace.
func Enter() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mounting /proc (refused where parts of /proc are masked, as in some containers): %w", err)
	}
	return nil
}

// CleanEnv is this process's environment without what the sandbox and its callers added, named by
// prefix, and without a KUBECONFIG of another cluster.
func CleanEnv(prefix string) []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, prefix) && !strings.HasPrefix(e, usersEnv) && !strings.HasPrefix(e, "KUBECONFIG=") {
			env = append(env, e)
		}
	}
	return env
}
