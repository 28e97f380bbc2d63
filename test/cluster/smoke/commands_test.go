package smoke

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const nobody = 65534

// ran runs the cluster's program and returns its exit status and what it printed.
func ran(t *testing.T, stdin string, args ...string) (code int, out string) {
	t.Helper()
	c := exec.Command(program(t), args...)
	c.Stdin = strings.NewReader(stdin)
	b, err := c.CombinedOutput()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), string(b)
}

// TestTemporaryFolder: without --dir, everything is in memory; kill -9 leaves an empty folder, and the
// next start removes it.
func TestTemporaryFolder(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	mark := filepath.Join(t.TempDir(), "started")
	c := exec.Command(program(t), "run", "--nodes=1", "--", "sh", "-c", `test -s "$KUBECONFIG" && touch "$1"; exec sleep 1000`, "sh", mark)
	must(t, c.Start())
	for end := time.Now().Add(patience); ; time.Sleep(poll) {
		if _, err := os.Stat(mark); err == nil {
			break
		}
		if time.Now().After(end) {
			_ = c.Process.Kill() // so that it does not outlive the test
			t.Fatal("not started")
		}
	}
	must(t, c.Process.Kill())
	if err := c.Wait(); err == nil {
		t.Error("killed, and exit status 0")
	}
	files := func() (out []string) {
		must(t, filepath.WalkDir(tmp, func(path string, _ os.DirEntry, err error) error { out = append(out, path); return err }))
		return out[1:]
	}
	if left := files(); len(left) != 1 {
		t.Errorf("left by kill -9: %v, want one empty folder", left)
	}
	if code, out := ran(t, "", "run", "--nodes=1", "--", "sh", "-c", "exit 7"); code != 7 {
		t.Errorf("exit status %d: %s", code, out)
	}
	if left := files(); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// TestUpAndDown goes through the commands for a cluster in the background, two of them at once.
func TestUpAndDown(t *testing.T) {
	// Deeper than a unix socket's path may be long.
	deep := filepath.Join(t.TempDir(), strings.Repeat("deep-down-", 15))
	one, two := filepath.Join(deep, "one"), filepath.Join(deep, "two")
	ups := make(chan string, 2)
	for _, dir := range []string{one, two} {
		go func() {
			if code, out := ran(t, "", "up", "--dir", dir, "--nodes=1"); code != 0 {
				ups <- out
				return
			}
			ups <- ""
		}()
	}
	defer ran(t, "", "down", "--dir", two)
	defer ran(t, "", "down", "--dir", one)
	for range 2 {
		if out := <-ups; out != "" {
			t.Fatal(out)
		}
	}
	for _, c := range []struct {
		what  string
		stdin string
		args  []string
		code  int
		out   string
	}{
		{"a second one in the same folder", "", []string{"up", "--dir", one}, 1, "a cluster already runs in"},
		{"status", "", []string{"status", "--dir", one}, 0, `"ready": true`},
		{"stdin and stdout of a command", "over there", []string{"exec", "--dir", one, "--", "cat"}, 0, "over there"},
		{"exit status of a command", "", []string{"exec", "--dir", one, "--", "sh", "-c", "exit 5"}, 5, ""},
		{"the network inside", "", []string{"exec", "--dir", one, "--", "sh", "-c", "ls /sys/class/net; cat /proc/net/dev"}, 0, "pods:"},
		{"a program that is not there", "", []string{"exec", "--dir", one, "--", "no-such-program"}, 1, "no-such-program"},
		{"faults without --faults", "", []string{"faults", "--dir", one}, 1, "without --faults"},
		{"writes", "", []string{"writes", "--dir", two}, 0, `"cluster-node"`},
		{"down", "", []string{"down", "--dir", one}, 0, ""},
		{"down, when it is down", "", []string{"down", "--dir", one}, 1, "no cluster runs in"},
		{"exec, when it is down", "", []string{"exec", "--dir", one, "--", "true"}, 1, "no cluster runs in"},
		{"the other one still there", "", []string{"status", "--dir", two}, 0, `"ready": true`},
		{"nonsense", "", []string{"sideways"}, 2, "usage:"},
	} {
		code, out := ran(t, c.stdin, c.args...)
		if code != c.code || !strings.Contains(out, c.out) {
			t.Errorf("%s: exit status %d, want %d; %q is to be in %q", c.what, code, c.code, c.out, out)
		}
	}
}

// TestExecEndsWithItsClient: signals reach the command, and it does not outlive whoever wanted it.
func TestExecEndsWithItsClient(t *testing.T) {
	dir := t.TempDir()
	if code, out := ran(t, "", "up", "--dir", dir, "--nodes=1"); code != 0 {
		t.Fatal(out)
	}
	defer ran(t, "", "down", "--dir", dir)
	for _, c := range []struct {
		sig  syscall.Signal
		want string
	}{{syscall.SIGTERM, "caught\n"}, {syscall.SIGKILL, ""}} {
		cmd := exec.Command(program(t), "exec", "--dir", dir, "--", "sh", "-c", `trap 'echo caught; exit 9' TERM; echo up; while :; do sleep 0.1; done`)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		up := make([]byte, 3)
		_, err = io.ReadFull(out, up)
		must(t, err)
		must(t, cmd.Process.Signal(c.sig))
		// Ends only when the last holder of the pipe is gone: the command inside holds it too.
		rest := make(chan []byte, 1)
		go func() { b, _ := io.ReadAll(out); rest <- b }()
		select {
		case b := <-rest:
			if string(b) != c.want {
				t.Errorf("after %v: %q, want %q", c.sig, b, c.want)
			}
		case <-time.After(patience):
			t.Fatalf("after %v the command goes on", c.sig)
		}
		if err := cmd.Wait(); err == nil {
			t.Errorf("after %v: exit status 0", c.sig)
		}
	}
}

// TestWithoutRoot runs a cluster as an ordinary user, where this machine lets users make namespaces.
func TestWithoutRoot(t *testing.T) {
	var prepare func(*exec.Cmd)
	if os.Geteuid() == 0 {
		// The user cannot look into root's folders: copies, in a folder that is open to all.
		open, err := os.MkdirTemp("/tmp", "rauta-smoke-")
		must(t, err)
		defer os.RemoveAll(open)
		must(t, os.Chmod(open, 0o755))
		for _, f := range []string{"cluster", "kubectl", "echo-basic", "dns", "check"} {
			copyFile(t, filepath.Join(filepath.Dir(program(t)), f), filepath.Join(open, f))
		}
		home := filepath.Join(open, "home")
		must(t, os.Mkdir(home, 0o700))
		must(t, os.Chown(home, nobody, nobody))
		t.Setenv(builtEnv, open)
		user := &syscall.Credential{Uid: nobody, Gid: nobody}
		check := exec.Command(filepath.Join(open, "check"))
		check.SysProcAttr = &syscall.SysProcAttr{Credential: user}
		if why, err := check.Output(); err != nil {
			t.Skipf("not here: %s", bytes.TrimSpace(why))
		}
		prepare = func(c *exec.Cmd) {
			c.SysProcAttr = &syscall.SysProcAttr{Credential: user}
			c.Args[3] = filepath.Join(home, "cluster") // after --dir
			c.Env = append(os.Environ(), "HOME="+home)
		}
	}
	r := start(t, prepare, busy+`
"$K" logs deployment/web | grep -q 'listening on port 3000' || exit 1
"$RAUTA_CLUSTER_BIN" exec -- sh -c 'exit 0' || exit 1`)
	pids := family(t, r.cmd.Process.Pid)
	must(t, r.cmd.Process.Kill())
	<-r.wait
	r.nothingLeft(pids)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	must(t, err)
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	must(t, err)
	_, err = io.Copy(out, in)
	must(t, err)
	must(t, out.Close())
}
