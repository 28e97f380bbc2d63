// check says whether a cluster can run on this machine, and if not, what is missing. It does in
// small what a cluster does, so that nobody compiles for minutes only to be refused.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"

	"rauta.io/cluster/internal/network"
	"rauta.io/cluster/internal/sandbox"
)

const innerEnv = "RAUTA_CLUSTER_CHECK_INNER"

func main() {
	err := outer()
	if os.Getenv(innerEnv) != "" {
		err = inner()
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func outer() error {
	if os.Getenv(innerEnv) != "" {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c := sandbox.Command(self)
	c.Env = append(c.Env, innerEnv+"=1")
	c.Stdout = os.Stdout
	if err := sandbox.Start(c); err != nil {
		return err
	}
	var ended *exec.ExitError
	if err := c.Wait(); errors.As(err, &ended) {
		os.Exit(ended.ExitCode()) // the inner process has said why
	} else if err != nil {
		return err
	}
	return nil
}

func inner() error {
	if err := sandbox.Enter(); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/proc/sys", "tmpfs", unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("mounting a file system in memory: %w", err)
	}
	if err := unix.Unmount("/proc/sys", 0); err != nil {
		return err
	}
	if err := network.Setup(1); err != nil {
		return fmt.Errorf("network: %w", err)
	}
	ns, err := network.Pod(net.IPv4(10, 244, 1, 2))
	if err != nil {
		return fmt.Errorf("a pod's network: %w", err)
	}
	return ns.Close()
}
