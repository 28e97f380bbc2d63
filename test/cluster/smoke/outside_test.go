// Package smoke tests the cluster as a whole: it is started, used, killed, and nothing is left of it.
// The tests whose names begin with TestInside run inside a cluster that TestCluster starts.
package smoke

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	builtEnv   = "RAUTA_CLUSTER_BUILT" // folder with the programs, set by test.sh
	insideTime = "5m"
)

func program(t *testing.T) string {
	t.Helper()
	dir := os.Getenv(builtEnv)
	if dir == "" {
		t.Fatalf("%s is not set: make test-cluster runs these tests", builtEnv)
	}
	return filepath.Join(dir, "cluster")
}

// TestCluster starts a cluster and runs all tests that belong inside it.
func TestCluster(t *testing.T) {
	self, err := os.Executable()
	must(t, err)
	c := exec.Command(program(t), "run", "--faults", "--apply", "crds", "--", self, "-test.v", "-test.run=^TestInside", "-test.timeout="+insideTime, "-test.parallel=16")
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		t.Errorf("inside: %v", err)
	}
}

// running is a cluster in the background.
type running struct {
	*testing.T
	cmd  *exec.Cmd
	dir  string
	out  *bytes.Buffer
	wait chan error
}

// start starts a cluster whose command prints "started" and waits.
func start(t *testing.T, prepare func(*exec.Cmd), script string, flags ...string) *running {
	t.Helper()
	r := &running{T: t, dir: t.TempDir(), out: &bytes.Buffer{}, wait: make(chan error, 1)}
	args := append([]string{"run", "--dir", r.dir}, flags...)
	r.cmd = exec.Command(program(t), append(args, "--", "sh", "-c", script+"\necho started; exec sleep 1000")...)
	r.cmd.Stderr = os.Stderr
	if prepare != nil {
		prepare(r.cmd)
	}
	rd, wr, err := os.Pipe()
	must(t, err)
	r.cmd.Stdout = wr
	must(t, r.cmd.Start())
	wr.Close()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill() // most tests have seen its end already
	})
	go func() { r.wait <- r.cmd.Wait() }()
	started := make(chan error, 1)
	go func() {
		b := make([]byte, 4096)
		for !bytes.Contains(r.out.Bytes(), []byte("started\n")) {
			n, err := rd.Read(b)
			r.out.Write(b[:n])
			if err != nil {
				started <- fmt.Errorf("ended too early: %w: %s", err, r.out.String())
				return
			}
		}
		started <- nil
		_, _ = io.Copy(io.Discard, rd) // until the end of the cluster
	}()
	select {
	case err := <-started:
		must(t, err)
	case <-time.After(patience):
		t.Fatal("not started")
	}
	return r
}

// family lists a process and all its descendants.
func family(t *testing.T, pid int) []int {
	t.Helper()
	children := map[int][]int{}
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	must(t, err)
	for _, f := range all {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // it has just ended
		}
		id, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		must(t, err)
		rest := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		parent, err := strconv.Atoi(rest[1])
		must(t, err)
		children[parent] = append(children[parent], id)
	}
	out := []int{pid}
	for i := 0; i < len(out); i++ {
		out = append(out, children[out[i]]...)
	}
	return out
}

var podLink = regexp.MustCompile(`^pod(s|\d+-\d+)$`)

// nothingLeft checks that the processes are gone, and that this machine has no link and no mount of
// a cluster.
func (r *running) nothingLeft(pids []int) {
	r.Helper()
	var left []string
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(poll) {
		left = nil
		for _, pid := range pids {
			if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && len(b) > 0 {
				left = append(left, fmt.Sprintf("%d %s", pid, bytes.ReplaceAll(b, []byte{0}, []byte{' '})))
			}
		}
		if len(left) == 0 {
			break
		}
	}
	if len(left) > 0 {
		r.Errorf("processes left: %v", left)
	}
	links, err := os.ReadDir("/sys/class/net")
	must(r.T, err)
	for _, l := range links {
		if podLink.MatchString(l.Name()) {
			r.Errorf("link left: %s", l.Name())
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	must(r.T, err)
	if strings.Contains(string(mounts), r.dir) || strings.Contains(string(mounts), "rauta-cluster-") {
		r.Errorf("mounts left:\n%s", mounts)
	}
}

// busy makes the cluster hold pods, and a process that has run away from its parent.
const busy = `
K=$(dirname "$RAUTA_CLUSTER_BIN")/kubectl
"$K" create deployment web --image=x/gateway-api/echo-basic:v1 --replicas=3 >/dev/null
"$K" rollout status deployment web --timeout=60s >/dev/null || exit 1
(setsid sleep 2000 &)`

const familyAtLeast = 1 + 1 + 1 + 3 + 1 // outer, inner, command, pods, runaway

func TestNothingIsLeft(t *testing.T) {
	for name, end := range map[string]func(*running, []int){
		"SIGTERM":            func(r *running, _ []int) { must(r.T, r.cmd.Process.Signal(syscall.SIGTERM)) },
		"kill -9 outside":    func(r *running, _ []int) { must(r.T, r.cmd.Process.Kill()) },
		"kill -9 the inside": func(r *running, pids []int) { must(r.T, syscall.Kill(pids[1], syscall.SIGKILL)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, nil, busy)
			pids := family(t, r.cmd.Process.Pid)
			if len(pids) < familyAtLeast {
				t.Fatalf("only %d processes to begin with: %v", len(pids), pids)
			}
			end(r, pids)
			select {
			case <-r.wait:
			case <-time.After(patience):
				t.Fatal("it does not end")
			}
			r.nothingLeft(pids)
		})
	}
}
