package control

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rauta.io/cluster/internal/sandbox"
)

// cluster answers on a socket in a folder too deep for a socket's own path.
func cluster(t *testing.T) (dir string, stopped *bool) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), strings.Repeat("deep", 40))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	stopped = new(bool)
	faults := json.RawMessage(`{}`)
	h := &Handler{
		Status: func() *Status { return &Status{Ready: true, Nodes: []string{"n"}} },
		Faults: func() (json.RawMessage, error) { return faults, nil },
		SetFaults: func(b json.RawMessage) error {
			if string(b) == `"bad"` {
				return errors.New("bad faults")
			}
			faults = b
			return nil
		},
		Stop: func() { *stopped = true }, Env: []string{"INSIDE=yes"}, Children: sandbox.NewChildren(),
	}
	ln, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go h.Serve(ln)
	return dir, stopped
}

func TestAsk(t *testing.T) {
	dir, stopped := cluster(t)
	if r, err := Ask(dir, &Request{Op: OpStatus}); err != nil || !r.Status.Ready {
		t.Errorf("status: %+v %v", r, err)
	}
	long := `"` + strings.Repeat("long", 100000) + `"`
	if r, err := Ask(dir, &Request{Op: OpSetFaults, Faults: json.RawMessage(long)}); err != nil || string(r.Faults) != long {
		t.Errorf("a long line: %v", err)
	}
	for r, want := range map[*Request]string{
		{Op: OpSetFaults, Faults: json.RawMessage(`"bad"`)}: "bad faults",
		{Op: "dance"}: `unknown op "dance"`,
		{Op: OpExec, Command: &Command{Args: []string{"/bin/true"}}}: "three descriptors",
	} {
		if _, err := Ask(dir, r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", r.Op, err)
		}
	}
	if _, err := Ask(dir, &Request{Op: OpStop}); err != nil || !*stopped {
		t.Errorf("stop: %v", err)
	}
	if _, err := Ask(t.TempDir(), &Request{Op: OpStatus}); err == nil || !strings.Contains(err.Error(), "no cluster runs") {
		t.Errorf("nobody there: %v", err)
	}
	if st, err := os.Stat(filepath.Join(dir, socketName)); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the socket is open to others: %v %v", st, err)
	}
}

func TestExec(t *testing.T) {
	dir, _ := cluster(t)
	rd, wr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Close()
	c, err := Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cmd := &Command{Args: []string{"/bin/sh", "-c", `echo "$INSIDE $OWN $PWD"; exit 4`}, Env: []string{"OWN=mine"}, Dir: "/usr"}
	out := int(wr.Fd())
	if err := c.Send(&Request{Op: OpExec, Command: cmd}, 0, out, out); err != nil {
		t.Fatal(err)
	}
	wr.Close()
	r, err := c.Receive()
	if err != nil || r.Exit == nil || *r.Exit != 4 {
		t.Errorf("%+v %v", r, err)
	}
	b := make([]byte, 100)
	n, err := rd.Read(b)
	if got := string(b[:n]); got != "yes mine /usr\n" {
		t.Errorf("%q %v", got, err)
	}
}
