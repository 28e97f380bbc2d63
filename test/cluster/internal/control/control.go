// Package control is how other processes talk to a running cluster: a unix socket in its folder,
// one JSON object a line each way. Any language can speak it; `cluster exec`, `faults`, `status` and
// `down` do.
package control

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What a Request may ask for.
const (
	OpStatus    = "status"
	OpFaults    = "faults"     // tell the current faults
	OpSetFaults = "set-faults" // replace them by Faults
	OpExec      = "exec"       // run Command inside, on the three descriptors sent along
	OpSignal    = "signal"     // to the command, on the same connection
	OpStop      = "stop"
)

const (
	socketName  = "control.sock"
	lineLimit   = 16 << 20
	descriptors = 3 // stdin, stdout, stderr
	dialTimeout = 5 * time.Second
)

// Request is one line from a client.
type Request struct {
	Op      string          `json:"op"`
	Faults  json.RawMessage `json:"faults,omitempty"`
	Command *Command        `json:"command,omitempty"`
	Signal  int             `json:"signal,omitempty"`
}

// Command is what runs inside for a client.
type Command struct {
	Args []string `json:"args"`
	Env  []string `json:"env"`
	Dir  string   `json:"dir"`
}

// Reply is one line from the cluster.
type Reply struct {
	Error  string          `json:"error,omitempty"`
	Status *Status         `json:"status,omitempty"`
	Faults json.RawMessage `json:"faults,omitempty"`
	Exit   *int            `json:"exit,omitempty"` // the last line of an exec
}

// Status is what there is to know about a running cluster.
type Status struct {
	Ready      bool     `json:"ready"`
	Kubeconfig string   `json:"kubeconfig"`
	Direct     string   `json:"kubeconfigDirect"` // past the fault-injecting proxy, if there is one
	Nodes      []string `json:"nodes"`
	Faults     bool     `json:"faults"`
	Uptime     float64  `json:"uptimeSeconds"`
	Resources  string   `json:"resources"`
}

// address names the socket by way of an open folder: a socket's own path may have no more than 107
// bytes, and a cluster's folder may lie deep.
func address(dir string) (string, *os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return filepath.Join("/proc/self/fd", fmt.Sprint(f.Fd()), socketName), f, nil
}

// Listen makes the socket in dir.
func Listen(dir string) (*net.UnixListener, error) {
	if err := os.Remove(filepath.Join(dir, socketName)); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	path, f, err := address(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	ln.SetUnlinkOnClose(false) // its path is another one by then
	return ln, os.Chmod(filepath.Join(dir, socketName), 0o600)
}

// Client is a connection to a running cluster.
type Client struct {
	conn *net.UnixConn
	in   *bufio.Reader
}

// Dial connects to the cluster whose folder is dir.
func Dial(dir string) (*Client, error) {
	path, f, err := address(dir)
	if err != nil {
		return nil, fmt.Errorf("no cluster in %s: %w", dir, err)
	}
	defer f.Close()
	c, err := net.DialTimeout("unix", path, dialTimeout)
	if err != nil {
		if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
			return nil, fmt.Errorf("no cluster runs in %s", dir)
		}
		return nil, err
	}
	return &Client{conn: c.(*net.UnixConn), in: bufio.NewReaderSize(c, lineLimit)}, nil
}

// Close ends the connection; a command still running inside is killed.
func (c *Client) Close() error { return c.conn.Close() }

// Send sends a request, with descriptors if any.
func (c *Client) Send(r *Request, fds ...int) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	n, _, err := c.conn.WriteMsgUnix(append(b, '\n'), oob, nil)
	if err == nil && n <= len(b) { // descriptors go with the first byte; the rest may follow
		_, err = c.conn.Write(append(b, '\n')[n:])
	}
	return err
}

// Receive reads the next reply.
func (c *Client) Receive() (*Reply, error) {
	line, err := c.in.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("the cluster has gone: %w", err)
	}
	r := &Reply{}
	if err := json.Unmarshal(line, r); err != nil {
		return nil, err
	}
	if r.Error != "" {
		return nil, errors.New(r.Error)
	}
	return r, nil
}

// Ask sends one request and reads one reply.
func Ask(dir string, r *Request) (*Reply, error) {
	c, err := Dial(dir)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.Send(r); err != nil {
		return nil, err
	}
	return c.Receive()
}
