package sandbox

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

// children collects this process's orphans in all tests: a second collector would not know the first
// one's own.
var children = NewChildren()

func TestChildrenKeepTheirStatus(t *testing.T) {
	c := children
	codes := make(chan int)
	const many = 50
	for n := range many {
		go func() {
			cmd := exec.Command("sh", "-c", "exit "+[]string{"0", "3"}[n%2])
			if err := c.Start(cmd); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Duration(n) * time.Millisecond) // the collector of orphans may come first
			code, err := c.Wait(cmd)
			if err != nil {
				t.Errorf("somebody else collected it: %v", err)
			}
			codes <- code
		}()
	}
	var got []int
	for range many {
		got = append(got, <-codes)
	}
	slices.Sort(got)
	if got[many/2-1] != 0 || got[many/2] != 3 {
		t.Errorf("exit statuses: %v", got)
	}
	cmd := exec.Command("sh", "-c", "kill -9 $$")
	if err := c.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if code, err := c.Wait(cmd); err != nil || code != 128+9 {
		t.Errorf("killed: %d %v", code, err)
	}
}

// TestOrphansAreCollected: a child that nobody waits for does not stay as a zombie.
func TestOrphansAreCollected(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, _, there := stat(pid); !there {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it is still there")
		}
	}
	if state, parent, ok := stat(os.Getpid()); !ok || state == "Z" || parent != os.Getppid() {
		t.Errorf("this process: %s %d %v", state, parent, ok)
	}
}
