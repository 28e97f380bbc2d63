package faults

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"sync"
	"time"
)

// errCut makes the reverse proxy abort the answer.
var errCut = errors.New("injected fault: cut")

const (
	frameHead      = 4
	protobufStream = "application/vnd.kubernetes.protobuf;stream=watch"
)

// cutReader passes a body on and ends it as a Cut says.
type cutReader struct {
	ctx   context.Context
	body  io.ReadCloser
	cut   *Cut
	left  int // bytes that may still pass, or -1 for any number
	count counter
	seen  int // events that passed
	timer *time.Timer
	over  chan struct{} // closed when the time is up
	close sync.Once
}

func newCutReader(ctx context.Context, body io.ReadCloser, c *Cut, contentType string) *cutReader {
	r := &cutReader{ctx: ctx, body: body, cut: c, left: -1, over: make(chan struct{})}
	if c.Bytes != nil {
		r.left = *c.Bytes
	}
	r.count = lineCounter{}
	if strings.HasPrefix(strings.ReplaceAll(contentType, " ", ""), protobufStream) {
		r.count = &frameCounter{}
	}
	if c.After > 0 {
		r.timer = time.AfterFunc(time.Duration(c.After), func() {
			close(r.over)
			r.closeBody() // wakes a Read that waits for the server
		})
	}
	return r
}

func (r *cutReader) closeBody() { r.close.Do(func() { r.body.Close() }) }

func (r *cutReader) Read(b []byte) (int, error) {
	if r.timeUp() || r.left == 0 || r.cut.Events > 0 && r.seen >= r.cut.Events {
		return 0, r.end()
	}
	if r.left > 0 {
		b = b[:min(len(b), r.left)]
	}
	n, err := r.body.Read(b)
	if r.cut.Events > 0 {
		var events int
		n, events = r.count.pass(b[:n], r.cut.Events-r.seen)
		r.seen += events
	}
	if r.left > 0 {
		r.left -= n
	}
	if err != nil && r.timeUp() {
		if n > 0 {
			return n, nil
		}
		return 0, r.end()
	}
	return n, err
}

func (r *cutReader) timeUp() bool {
	select {
	case <-r.over:
		return true
	default:
		return false
	}
}

// end is how the body ends before its time.
func (r *cutReader) end() error {
	switch r.cut.How {
	case End:
		return io.EOF
	case Hang:
		<-r.ctx.Done() // until the client gives up
		return r.ctx.Err()
	}
	return errCut
}

func (r *cutReader) Close() error {
	if r.timer != nil {
		r.timer.Stop()
	}
	r.closeBody()
	return nil
}

// counter finds where watch events end. pass looks at the next bytes of a body and says how many of
// them may pass so that no more than left events do, and how many events end in those.
type counter interface {
	pass(b []byte, left int) (bytes, events int)
}

// lineCounter counts JSON watch events, one a line.
type lineCounter struct{}

func (lineCounter) pass(b []byte, left int) (n, events int) {
	for n < len(b) && events < left {
		i := bytes.IndexByte(b[n:], '\n')
		if i < 0 {
			return len(b), events
		}
		n, events = n+i+1, events+1
	}
	return n, events
}

// frameCounter counts protobuf watch events: four bytes of length, then as many bytes.
type frameCounter struct {
	head []byte // what is there of the length
	rest int    // bytes of the event that are still to come
}

func (f *frameCounter) pass(b []byte, left int) (n, events int) {
	for n < len(b) && events < left {
		if f.rest == 0 {
			f.head = append(f.head, b[n])
			n++
			if len(f.head) == frameHead {
				f.rest = int(binary.BigEndian.Uint32(f.head))
				f.head = f.head[:0]
			}
			continue
		}
		step := min(f.rest, len(b)-n)
		n, f.rest = n+step, f.rest-step
		if f.rest == 0 {
			events++
		}
	}
	return n, events
}
