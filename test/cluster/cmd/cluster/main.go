// cluster runs a Kubernetes control plane (etcd, kube-apiserver, controllers) and a few pretended
// nodes whose pods are plain processes, all in one process and inside namespaces that it makes
// itself. No container runtime, no images; nothing of the machine is changed, and nothing is left.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rauta.io/cluster/internal/node"
)

const usageText = `usage:
  cluster run [flags] [-- COMMAND ARGS...]      start; run COMMAND inside and exit with its status
                                                (without COMMAND: stay until SIGINT or SIGTERM)
  cluster up --dir DIR [flags]                  start in the background, and return when it is ready
  cluster down --dir DIR                        stop it
  cluster status --dir DIR                      what runs there, as JSON
  cluster exec --dir DIR -- COMMAND ARGS...     run COMMAND inside a running cluster
  cluster faults --dir DIR [get|clear|set JSON] the fault-injecting proxy of a cluster with --faults
  cluster writes --dir DIR [--since TIME]       API writes by user agent, as JSON
`

const (
	prefix     = "RAUTA_CLUSTER_" // of all environment variables of this program
	innerEnv   = prefix + "INNER" // set in the process that lives in the new namespaces
	dirEnv     = prefix + "DIR"   // set for commands inside: the default of --dir
	binEnv     = prefix + "BIN"   // set for commands inside: this program
	directEnv  = prefix + "DIRECT_KUBECONFIG"
	exitUsage  = 2
	exitFailed = 1

	maxNodes     = 9
	defaultNodes = 3
	defaultGrace = 30 * time.Second
)

// options of run and up.
type options struct {
	dir       string
	temporary bool // dir is one of our own: keep it in memory, and remove it at the end
	images    string
	apply     string
	nodes     int
	faults    bool
	verbosity int
	maxGrace  time.Duration
}

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	commands := map[string]func([]string) int{
		"run": run, "up": up, "down": down, "status": status, "exec": execIn, "faults": faultsCommand, "writes": writesCommand,
	}
	f := commands[os.Args[1]]
	if f == nil {
		usage()
	}
	os.Exit(f(os.Args[2:]))
}

func usage() {
	fmt.Fprint(os.Stderr, usageText)
	os.Exit(exitUsage)
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "cluster:", err)
	return exitFailed
}

// parseRun reads the flags of run and up, and returns what follows them.
func parseRun(name string, args []string) (*options, []string) {
	o := &options{}
	fs := flag.NewFlagSet("cluster "+name, flag.ExitOnError)
	fs.StringVar(&o.dir, "dir", "", "folder for logs, keys and data (default: one of its own, in memory)")
	fs.BoolVar(&o.temporary, "temporary", false, "keep the folder in memory, seen only inside")
	fs.StringVar(&o.images, "images", "", "JSON file that maps more images to programs of this machine")
	fs.StringVar(&o.apply, "apply", "", "files and folders of manifests to apply first, by commas; `crds` means those of the Gateway API")
	fs.IntVar(&o.nodes, "nodes", defaultNodes, "pretended nodes, each in a zone of its own")
	fs.BoolVar(&o.faults, "faults", false, "put a fault-injecting proxy before the API server")
	fs.IntVar(&o.verbosity, "v", 0, "log level of the control plane")
	fs.DurationVar(&o.maxGrace, "max-grace", defaultGrace, "upper bound on terminationGracePeriodSeconds")
	parse(fs, args)
	if o.nodes < 1 || o.nodes > maxNodes {
		fmt.Fprintf(os.Stderr, "cluster: --nodes is 1 to %d\n", maxNodes)
		os.Exit(exitUsage)
	}
	return o, fs.Args()
}

func parse(fs *flag.FlagSet, args []string) {
	if err := fs.Parse(args); err != nil { // ExitOnError: it does not come back with one
		os.Exit(exitUsage)
	}
}

// args gives the options back as flags, for the process that does the work.
func (o *options) args() []string {
	return []string{"--dir=" + o.dir, fmt.Sprintf("--temporary=%v", o.temporary), "--images=" + o.images, "--apply=" + o.apply,
		fmt.Sprintf("--nodes=%d", o.nodes), fmt.Sprintf("--faults=%v", o.faults), fmt.Sprintf("--v=%d", o.verbosity),
		"--max-grace=" + o.maxGrace.String()}
}

// manifests are the paths to apply.
func (o *options) manifests() ([]string, error) {
	if o.apply == "" {
		return nil, nil
	}
	var out []string
	for _, p := range strings.Split(o.apply, ",") {
		if p == "crds" {
			dir, err := besides("crds")
			if err != nil {
				return nil, err
			}
			p = dir
		}
		out = append(out, p)
	}
	return out, nil
}

// besides names a file that was built into the same folder as this program.
func besides(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(self), name), nil
}

// loadImages maps the images of the conformance suite, and those that the user adds.
func loadImages(extra string) (node.Images, error) {
	m := node.Images{}
	for pattern, program := range map[string]string{
		"*/gateway-api/echo-basic:*": "echo-basic",
		"*/coredns/coredns:*":        "dns",
	} {
		p, err := besides(program)
		if err != nil {
			return nil, err
		}
		m[pattern] = node.Image{Program: p}
	}
	if extra != "" {
		if err := m.Load(extra); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// dirFlag is --dir of the commands that talk to a running cluster.
func dirFlag(fs *flag.FlagSet) func() (string, error) {
	dir := fs.String("dir", os.Getenv(dirEnv), "folder of the running cluster (default: that of the cluster this runs in)")
	return func() (string, error) {
		if *dir == "" {
			return "", errors.New("--dir says which cluster")
		}
		return *dir, nil
	}
}
