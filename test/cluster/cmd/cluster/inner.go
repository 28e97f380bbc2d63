package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"rauta.io/cluster/internal/control"
	"rauta.io/cluster/internal/faults"
	"rauta.io/cluster/internal/manifests"
	"rauta.io/cluster/internal/network"
	"rauta.io/cluster/internal/node"
	"rauta.io/cluster/internal/pki"
	"rauta.io/cluster/internal/plane"
	"rauta.io/cluster/internal/sandbox"
)

const (
	logName       = "cluster.log"
	kubeconfig    = "kubeconfig"        // the way in, through the proxy if there is one
	directConfig  = "kubeconfig.direct" // always to the API server itself
	stopGrace     = 10 * time.Second    // for the command, after a signal
	exitSignalled = 130
	memoryOptions = "mode=755"
)

// cluster is everything the inner process holds.
type cluster struct {
	*options
	started  time.Time
	stderr   *os.File // what the user sees: descriptor 2 itself becomes the log
	children *sandbox.Children
	pki      *pki.PKI
	kubelet  *node.Kubelet
	proxy    *faults.Proxy // nil without --faults
	apiDone  chan error
	stop     chan os.Signal
	ready    chan struct{} // closed when everything is there
}

// inner is the first process of the new namespaces: it starts the parts, runs the command, and ends.
// Nothing is stopped in order but the command: the kernel takes everything else away with it.
func inner(o *options, cmdline []string) int {
	c := &cluster{options: o, started: time.Now(), stderr: os.Stderr, apiDone: make(chan error, 1),
		stop: make(chan os.Signal, 4), ready: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signal.Notify(c.stop, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	code, err := c.run(ctx, cmdline)
	klog.Flush()
	if err != nil {
		fmt.Fprintln(c.stderr, "cluster:", err)
		return exitFailed
	}
	return code
}

func (c *cluster) run(ctx context.Context, cmdline []string) (int, error) {
	if err := sandbox.Enter(); err != nil {
		return 0, err
	}
	if c.temporary {
		if err := unix.Mount("tmpfs", c.dir, "tmpfs", 0, memoryOptions); err != nil {
			return 0, fmt.Errorf("memory for %s: %w", c.dir, err)
		}
	}
	if err := network.Setup(c.nodes); err != nil {
		return 0, fmt.Errorf("network: %w", err)
	}
	if err := c.logToFile(); err != nil {
		return 0, err
	}
	c.children = sandbox.NewChildren()
	if err := c.serveControl(); err != nil {
		return 0, fmt.Errorf("control socket: %w", err)
	}
	up := make(chan error, 1)
	go func() { up <- c.start(ctx) }()
	select {
	case err := <-up:
		if err != nil {
			return 0, fmt.Errorf("%w\n         more in %s", err, c.path(logName))
		}
	case <-c.stop:
		return exitSignalled, nil
	}
	close(c.ready)
	code, err := c.stay(cmdline)
	c.say("stopping: %s", resources())
	return code, err
}

// start brings the control plane, the nodes and the first manifests up.
func (c *cluster) start(ctx context.Context) error {
	for _, d := range []string{"etcd", "pods", "logs", "pki"} { // each start is a new cluster
		if err := os.RemoveAll(filepath.Join(c.dir, d)); err != nil {
			return err
		}
	}
	names := node.NodeNames(c.nodes)
	var err error
	if c.pki, err = pki.New(filepath.Join(c.dir, "pki"), names); err != nil {
		return err
	}
	if err := plane.StartEtcd(filepath.Join(c.dir, "etcd")); err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	go func() { c.apiDone <- plane.RunAPIServer(ctx, c.dir, c.pki, c.verbosity) }()
	if err := plane.WaitReady(ctx, c.pki.Client("cluster-start"), c.apiDone); err != nil {
		return fmt.Errorf("kube-apiserver: %w", err)
	}
	c.say("API server ready")
	if err := c.openDoors(); err != nil {
		return err
	}
	if err := plane.StartControllers(ctx, c.pki.Client("cluster-controllers"), c.pki.Path("ca.crt")); err != nil {
		return fmt.Errorf("controllers: %w", err)
	}
	if err := c.startNodes(ctx, names); err != nil {
		return err
	}
	paths, err := c.manifests()
	if err != nil || len(paths) == 0 {
		return err
	}
	n, err := manifests.Apply(ctx, c.pki.Client("cluster-apply"), paths)
	if err != nil {
		return fmt.Errorf("applying manifests: %w", err)
	}
	c.say("%d manifests applied", n)
	return nil
}

// apiPort is where clients that are not the cluster's own find the API.
func (c *cluster) apiPort() int {
	if c.faults {
		return network.FaultsPort
	}
	return network.APIPort
}

// openDoors writes the kubeconfigs and, with --faults, starts the proxy that one of them leads to.
func (c *cluster) openDoors() error {
	if err := c.pki.WriteKubeconfig(c.path(directConfig), network.APIPort); err != nil {
		return err
	}
	if err := c.pki.WriteKubeconfig(c.path(kubeconfig), c.apiPort()); err != nil {
		return err
	}
	if !c.faults {
		return nil
	}
	ca, err := os.ReadFile(c.pki.Path("ca.crt"))
	if err != nil {
		return err
	}
	front, err := tls.LoadX509KeyPair(c.pki.Path("front-proxy.crt"), c.pki.Path("front-proxy.key"))
	if err != nil {
		return err
	}
	serving, err := tls.LoadX509KeyPair(c.pki.Path("apiserver.crt"), c.pki.Path("apiserver.key"))
	if err != nil {
		return err
	}
	target := &url.URL{Scheme: "https", Host: net.JoinHostPort(network.APIHost, strconv.Itoa(network.APIPort))}
	c.proxy = faults.New(target, faults.Transport(ca, front))
	ln, err := net.Listen("tcp", net.JoinHostPort(network.APIHost, strconv.Itoa(network.FaultsPort)))
	if err != nil {
		return fmt.Errorf("faults: %w", err)
	}
	go func() { klog.ErrorS(c.proxy.Serve(ln, faults.ServerTLS(ca, serving)), "faults") }()
	return nil
}

func (c *cluster) startNodes(ctx context.Context, names []string) error {
	images, err := loadImages(c.images)
	if err != nil {
		return err
	}
	client, err := clientset.NewForConfig(c.pki.Client("cluster-node"))
	if err != nil {
		return err
	}
	c.kubelet, err = node.New(node.Config{Client: client, Dir: c.dir, Names: names, Images: images, MaxGrace: c.maxGrace,
		APIPort: c.apiPort(), Children: c.children, CertFile: c.pki.Path("apiserver.crt"), KeyFile: c.pki.Path("apiserver.key")})
	if err != nil {
		return err
	}
	return c.kubelet.Start(ctx)
}

// stay runs the command, or waits to be stopped, and returns the exit status.
func (c *cluster) stay(cmdline []string) (int, error) {
	if len(cmdline) == 0 {
		c.say("ready; kubeconfig %s", c.path(kubeconfig))
		select {
		case <-c.stop:
			return 0, nil
		case err := <-c.apiDone:
			return 0, fmt.Errorf("kube-apiserver ended: %w", err)
		}
	}
	path, err := exec.LookPath(cmdline[0])
	if err != nil {
		return 0, err
	}
	cmd := &exec.Cmd{Path: path, Args: cmdline, Env: append(sandbox.CleanEnv(prefix), c.env()...), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: c.stderr}
	began, ended := make(chan error, 1), make(chan int, 1)
	go func() {
		err := c.children.Start(cmd)
		began <- err
		if err != nil {
			return
		}
		code, err := c.children.Wait(cmd)
		if err != nil {
			code = exitFailed
		}
		ended <- code
	}()
	if err := <-began; err != nil {
		return 0, err
	}
	select {
	case code := <-ended:
		return code, nil
	case s := <-c.stop:
		_ = cmd.Process.Signal(s) // it may have just ended
		select {
		case <-ended:
		case <-time.After(stopGrace):
		}
		return exitSignalled, nil
	case err := <-c.apiDone:
		return 0, fmt.Errorf("kube-apiserver ended: %w", err)
	}
}

// env is what every command inside is told.
func (c *cluster) env() []string {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	return []string{"KUBECONFIG=" + c.path(kubeconfig), directEnv + "=" + c.path(directConfig), dirEnv + "=" + c.dir, binEnv + "=" + self,
		// A proxy of the machine's environment would swallow what is meant for the cluster.
		"no_proxy=*", "NO_PROXY=*"}
}

func (c *cluster) path(name string) string { return filepath.Join(c.dir, name) }

// say prints one line of progress, with the time since the start.
func (c *cluster) say(format string, a ...any) {
	fmt.Fprintf(c.stderr, "cluster: %5.1fs %s\n", time.Since(c.started).Seconds(), fmt.Sprintf(format, a...))
}

// logToFile sends descriptor 2 to the log, for the API server logs there whatever klog is told, and
// keeps the user's own stderr apart.
func (c *cluster) logToFile() error {
	f, err := os.Create(c.path(logName))
	if err != nil {
		return err
	}
	fd, err := unix.FcntlInt(2, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return err
	}
	c.stderr = os.NewFile(uintptr(fd), "stderr")
	return unix.Dup3(int(f.Fd()), 2, 0)
}

func (c *cluster) serveControl() error {
	ln, err := control.Listen(c.dir)
	if err != nil {
		return err
	}
	h := &control.Handler{Status: c.status, Faults: c.getFaults, SetFaults: c.setFaults, Env: c.env(), Children: c.children,
		Stop: func() { c.stop <- syscall.SIGTERM }}
	go h.Serve(ln)
	return nil
}

func (c *cluster) status() *control.Status {
	s := &control.Status{Kubeconfig: c.path(kubeconfig), Direct: c.path(directConfig), Nodes: node.NodeNames(c.nodes), Faults: c.faults,
		Uptime: time.Since(c.started).Seconds(), Resources: resources()}
	select {
	case <-c.ready:
		s.Ready = true
	default:
	}
	return s
}

// faultProxy is the proxy, once everything is there.
func (c *cluster) faultProxy() (*faults.Proxy, error) {
	if !c.faults {
		return nil, errors.New("this cluster was started without --faults")
	}
	select {
	case <-c.ready:
		return c.proxy, nil
	default:
		return nil, errors.New("the cluster is not ready yet")
	}
}

func (c *cluster) getFaults() (json.RawMessage, error) {
	p, err := c.faultProxy()
	if err != nil {
		return nil, err
	}
	return json.Marshal(p.Report())
}

func (c *cluster) setFaults(b json.RawMessage) error {
	p, err := c.faultProxy()
	if err != nil {
		return err
	}
	s, err := faults.Parse(b)
	if err == nil {
		p.Set(s)
	}
	return err
}

// resources says what this process used: memory now and at most, and CPU.
func resources() string {
	var out []string
	b, err := os.ReadFile("/proc/self/status")
	if err == nil {
		for _, l := range strings.Split(string(b), "\n") {
			if strings.HasPrefix(l, "VmRSS") || strings.HasPrefix(l, "VmHWM") {
				out = append(out, strings.Join(strings.Fields(l), " "))
			}
		}
	}
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err == nil {
		cpu := time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
		out = append(out, fmt.Sprintf("cpu %.1fs", cpu.Seconds()))
	}
	return strings.Join(out, ", ")
}
