package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"rauta.io/cluster/internal/sandbox"
)

const readChunk = 64 << 10

// Handler is what a cluster does when asked.
type Handler struct {
	Status    func() *Status
	Faults    func() (json.RawMessage, error)
	SetFaults func(json.RawMessage) error
	Stop      func()
	Env       []string // of every command, beside the client's own environment
	Children  *sandbox.Children
}

// Serve answers until the listener ends.
func (h *Handler) Serve(ln *net.UnixListener) {
	for {
		c, err := ln.AcceptUnix()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			s := &session{h: h, conn: c}
			s.run()
		}()
	}
}

type session struct {
	h    *Handler
	conn *net.UnixConn
	buf  []byte
	fds  []int
}

// next reads the next request; descriptors that come along are kept.
func (s *session) next() (*Request, error) {
	chunk := make([]byte, readChunk)
	oob := make([]byte, unix.CmsgSpace(descriptors*4))
	for {
		if i := bytes.IndexByte(s.buf, '\n'); i >= 0 {
			r := &Request{}
			err := json.Unmarshal(s.buf[:i], r)
			s.buf = s.buf[i+1:]
			return r, err
		}
		if len(s.buf) > lineLimit {
			return nil, errors.New("request too long")
		}
		n, oobn, _, _, err := s.conn.ReadMsgUnix(chunk, oob)
		if err != nil {
			return nil, err
		}
		if n == 0 && oobn == 0 {
			return nil, net.ErrClosed
		}
		s.buf = append(s.buf, chunk[:n]...)
		msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil {
			return nil, err
		}
		for i := range msgs {
			fds, err := unix.ParseUnixRights(&msgs[i])
			if err != nil {
				return nil, err
			}
			for _, fd := range fds {
				unix.CloseOnExec(fd)
			}
			s.fds = append(s.fds, fds...)
		}
	}
}

func (s *session) reply(r *Reply) {
	b, err := json.Marshal(r)
	if err != nil {
		b, _ = json.Marshal(&Reply{Error: err.Error()}) // a string can always be written
	}
	_, _ = s.conn.Write(append(b, '\n')) // a client that has gone wants no answer
}

func (s *session) run() {
	defer func() {
		for _, fd := range s.fds {
			unix.Close(fd)
		}
	}()
	for {
		r, err := s.next()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				s.reply(&Reply{Error: err.Error()})
			}
			return
		}
		if r.Op == OpExec {
			s.exec(r)
			return
		}
		out, err := s.answer(r)
		if err != nil {
			out = &Reply{Error: err.Error()}
		}
		s.reply(out)
	}
}

func (s *session) answer(r *Request) (*Reply, error) {
	switch r.Op {
	case OpStatus:
		return &Reply{Status: s.h.Status()}, nil
	case OpFaults:
		f, err := s.h.Faults()
		return &Reply{Faults: f}, err
	case OpSetFaults:
		if err := s.h.SetFaults(r.Faults); err != nil {
			return nil, err
		}
		f, err := s.h.Faults()
		return &Reply{Faults: f}, err
	case OpStop:
		s.h.Stop()
		return &Reply{}, nil
	}
	return nil, fmt.Errorf("unknown op %q", r.Op)
}

// exec runs a command inside, as a child of the cluster: it dies with the cluster, and with the
// connection of the client that wanted it.
func (s *session) exec(r *Request) {
	if r.Command == nil || len(r.Command.Args) == 0 || len(s.fds) != descriptors {
		s.reply(&Reply{Error: "exec wants a command and three descriptors"})
		return
	}
	files := make([]*os.File, descriptors)
	for i, fd := range s.fds {
		files[i] = os.NewFile(uintptr(fd), "std")
	}
	s.fds = nil
	cmd := &exec.Cmd{Path: r.Command.Args[0], Args: r.Command.Args, Dir: r.Command.Dir, Env: append(r.Command.Env, s.h.Env...),
		Stdin: files[0], Stdout: files[1], Stderr: files[2], SysProcAttr: &syscall.SysProcAttr{Setpgid: true}}
	began, ended := make(chan error, 1), make(chan int, 1)
	go func() {
		err := s.h.Children.Start(cmd)
		for _, f := range files {
			f.Close()
		}
		began <- err
		if err != nil {
			return
		}
		code, err := s.h.Children.Wait(cmd)
		if err != nil {
			code = 1
		}
		ended <- code
	}()
	if err := <-began; err != nil {
		s.reply(&Reply{Error: err.Error()})
		return
	}
	go func() {
		for {
			r, err := s.next()
			if err != nil {
				_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
				return
			}
			if r.Op == OpSignal {
				_ = syscall.Kill(-cmd.Process.Pid, syscall.Signal(r.Signal))
			}
		}
	}()
	code := <-ended
	s.reply(&Reply{Exit: &code})
}
