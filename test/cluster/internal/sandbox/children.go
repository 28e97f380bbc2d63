package sandbox

import (
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// reapEvery is how often orphans are looked for when no signal told of one.
const reapEvery = time.Second

// Children are the processes that this program started itself and waits for. As first process of
// its namespace it also inherits every orphan, and has to collect those, but not the others:
// whoever waits for a child of its own must be the one to get its exit status.
type Children struct {
	mu  sync.Mutex
	own map[int]bool
}

// NewChildren starts collecting orphans.
func NewChildren() *Children {
	c := &Children{own: map[int]bool{}}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	go func() {
		tick := time.NewTicker(reapEvery)
		for {
			select {
			case <-ended:
			case <-tick.C:
			}
			c.reap()
		}
	}()
	return c
}

// Start starts cmd so that it dies with this program. It must be followed by Wait, from the same
// goroutine, which keeps its thread until then.
func (c *Children) Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	runtime.LockOSThread()
	c.mu.Lock() // between fork and entry into the table, nobody may take it for an orphan
	defer c.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	c.own[cmd.Process.Pid] = true
	return nil
}

// Wait waits for a command begun by Start and returns its exit status, the shell's way: 128 and the
// signal's number when a signal ended it.
func (c *Children) Wait(cmd *exec.Cmd) (int, error) {
	err := cmd.Wait()
	c.mu.Lock()
	delete(c.own, cmd.Process.Pid)
	c.mu.Unlock()
	if cmd.ProcessState == nil {
		return 0, err
	}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}

func (c *Children) reap() {
	c.mu.Lock()
	defer c.mu.Unlock()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	self := os.Getpid()
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || c.own[pid] {
			continue
		}
		if state, parent, ok := stat(pid); ok && state == "Z" && parent == self {
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		}
	}
}

// stat reads a process's state and parent. The name, in parentheses, may hold anything.
func stat(pid int) (state string, parent int, ok bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", 0, false
	}
	_, rest, found := strings.Cut(string(b[strings.LastIndexByte(string(b), ')')+1:]), " ")
	f := strings.Fields(rest)
	if !found || len(f) < 2 {
		return "", 0, false
	}
	parent, err = strconv.Atoi(f[1])
	return f[0], parent, err == nil
}
