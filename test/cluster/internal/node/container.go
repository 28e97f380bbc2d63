package node

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"

	"rauta.io/cluster/internal/sandbox"
)

const (
	defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	imageDir    = "/image" // where the image's program is found inside
)

// runOnce starts the container's program and waits for its end.
func (p *pod) runOnce(ctx context.Context, c *v1.Container, st *containerState) (code int, err error) {
	img, ok := p.k.Images.lookup(c.Image)
	if !ok && len(c.Command) == 0 {
		return 0, fmt.Errorf("no program of this machine is mapped to image %q", c.Image)
	}
	var own *ociImage
	if img.OCI != "" {
		if own, err = p.k.oci(img.OCI); err != nil {
			return 0, err
		}
	}
	may, err := securityOf(p.obj.Spec.SecurityContext, c.SecurityContext, own)
	if err != nil {
		return 0, err
	}
	env, err := p.environment(ctx, c, img, own)
	if err != nil {
		return 0, err
	}
	argv := arguments(c, img, own, env)
	log, err := p.k.logs.open(logName(p.obj.Namespace, p.obj.Name, c.Name), p.obj.UID)
	if err != nil {
		return 0, err
	}
	rd, wr, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	logged := make(chan struct{})
	go func() { log.copy(rd); rd.Close(); close(logged) }()
	defer func() { <-logged }()

	began := make(chan error, 1)
	ended := make(chan error, 1)
	cmd := &exec.Cmd{Path: argv[0], Args: argv, Env: env.list(), Stdout: wr, Stderr: wr}
	go func() {
		// This thread joins the pod's network, gets a mount namespace of its own, builds the root
		// there, forks, and lives as long as the child, which dies with it. It is never unlocked:
		// Go discards it at the end, so that no other goroutine runs in foreign namespaces.
		runtime.LockOSThread()
		err := p.enter(c, img, own, may, env, cmd)
		if err == nil {
			err = p.k.Children.Start(cmd)
		}
		wr.Close()
		began <- err
		if err != nil {
			return
		}
		code, err = p.k.Children.Wait(cmd)
		ended <- err
	}()
	if err := <-began; err != nil {
		return 0, err
	}
	p.mu.Lock()
	st.proc = cmd.Process
	p.mu.Unlock()
	if p.stopping() && p.grace == 0 { // killed while it was being started
		p.signal(syscall.SIGKILL)
	}
	p.running(c, st, strconv.Itoa(cmd.Process.Pid))
	pctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go p.probe(pctx, c, st)
	err = <-ended
	return code, err
}

func arguments(c *v1.Container, img Image, own *ociImage, env *environment) []string {
	expand := func(in []string) (out []string) {
		for _, s := range in {
			out = append(out, expansion.Expand(s, expansion.MappingFuncFor(env.vars)))
		}
		return out
	}
	if len(c.Command) > 0 {
		return append(expand(c.Command), expand(c.Args)...)
	}
	if own != nil && len(c.Args) > 0 {
		return append(slices.Clone(own.entrypoint), expand(c.Args)...)
	} else if own != nil {
		return append(slices.Clone(own.entrypoint), own.cmd...)
	}
	argv := append([]string{path.Join(imageDir, filepath.Base(img.Program))}, img.Args...)
	return append(argv, expand(c.Args)...)
}

// enter puts the calling thread into the container's namespaces and completes cmd.
func (p *pod) enter(c *v1.Container, img Image, own *ociImage, may security, env *environment, cmd *exec.Cmd) error {
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Sethostname([]byte(p.obj.Name)); err != nil {
		return fmt.Errorf("hostname: %w", err)
	}
	root := filepath.Join(p.dir, "root-"+c.Name)
	if err := p.buildRoot(root, c, img, own, may.readOnly); err != nil {
		return err
	}
	if p.netns != nil {
		if err := unix.Setns(int(p.netns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("joining the pod's network: %w", err)
		}
	}
	if !strings.HasPrefix(cmd.Path, "/") {
		cmd.Path = inPath(root, cmd.Path, env.vars["PATH"])
	}
	cmd.Dir = "/"
	for _, d := range []string{img.Workdir, c.WorkingDir} {
		if d != "" {
			cmd.Dir = d
		}
	}
	if sandbox.Unprivileged() { // there is only one user in an unprivileged user namespace
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Cloneflags: syscall.CLONE_NEWPID}
		return nil
	}
	return may.become(root)
}

func inPath(root, name, dirs string) string {
	if dirs == "" {
		dirs = defaultPath
	}
	for _, d := range strings.Split(dirs, ":") {
		if st, err := os.Stat(filepath.Join(root, d, name)); err == nil && !st.IsDir() {
			return path.Join(d, name)
		}
	}
	return name
}
