package faults

import (
	"net"
	"sync"
)

// gate stops all traffic while it is shut: connections stay open, new ones are accepted, and no
// byte passes in either direction. It is what a dead machine behind a live address looks like.
type gate struct {
	mu   sync.Mutex
	shut chan struct{} // nil while open, closed when it opens again
}

func (g *gate) set(silent bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case silent && g.shut == nil:
		g.shut = make(chan struct{})
	case !silent && g.shut != nil:
		close(g.shut)
		g.shut = nil
	}
}

// wait returns once the gate is open, or false when the connection was closed meanwhile.
func (g *gate) wait(closed <-chan struct{}) bool {
	for {
		g.mu.Lock()
		shut := g.shut
		g.mu.Unlock()
		if shut == nil {
			return true
		}
		select {
		case <-shut:
		case <-closed:
			return false
		}
	}
}

type gatedListener struct {
	net.Listener
	gate *gate
}

func (l *gatedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &gatedConn{Conn: c, gate: l.gate, closed: make(chan struct{})}, nil
}

type gatedConn struct {
	net.Conn
	gate   *gate
	once   sync.Once
	closed chan struct{}
}

func (c *gatedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if !c.gate.wait(c.closed) { // what came while the gate was shut is heard when it opens
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *gatedConn) Write(b []byte) (int, error) {
	if !c.gate.wait(c.closed) {
		return 0, net.ErrClosed
	}
	return c.Conn.Write(b)
}

func (c *gatedConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
