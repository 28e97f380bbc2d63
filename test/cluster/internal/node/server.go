package node

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"rauta.io/cluster/internal/network"
)

const (
	maxLogLines = 20000 // a container, in memory; the files have all
	logBuffer   = 64 << 10
	noExec      = "pods here are processes of this machine: exec, attach and port-forward are not offered; " +
		"enter the cluster's network with `cluster exec --dir DIR -- COMMAND`"
	noPrevious = "logs of earlier runs of a container are not kept apart: ask without --previous"
)

// logStore keeps what containers print and serves it the way a kubelet does.
type logStore struct {
	dir string
	mu  sync.Mutex
	m   map[string]*containerLog
}

type logLine struct {
	at   time.Time
	text string
}

type containerLog struct {
	uid    types.UID
	mu     sync.Mutex
	cond   *sync.Cond
	lines  []logLine
	first  int  // number of lines dropped from the front
	closed bool // the pod has ended: nothing will follow
	file   *os.File
}

func newLogStore(dir string) (*logStore, error) {
	return &logStore{dir: dir, m: map[string]*containerLog{}}, os.MkdirAll(dir, 0o755)
}

func logName(ns, pod, container string) string {
	return strings.Join([]string{ns, pod, container}, "_")
}

// open returns the log of a container; a new pod of the same name starts a new one.
func (s *logStore) open(name string, uid types.UID) (*containerLog, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.m[name]
	if l != nil && l.uid == uid {
		return l, nil
	}
	if l != nil {
		l.close()
	}
	f, err := os.OpenFile(filepath.Join(s.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	l = &containerLog{uid: uid, file: f}
	l.cond = sync.NewCond(&l.mu)
	s.m[name] = l
	return l, nil
}

// drop forgets the log of a pod that is gone. Its file stays.
func (s *logStore) drop(name string, uid types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.m[name]; l != nil && l.uid == uid {
		l.close()
		delete(s.m, name)
	}
}

func (l *containerLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		l.file.Close()
		l.cond.Broadcast()
	}
}

func (l *containerLog) add(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	at := time.Now()
	l.lines = append(l.lines, logLine{at, text})
	if len(l.lines) > maxLogLines {
		n := len(l.lines) - maxLogLines/2
		l.lines = append([]logLine(nil), l.lines[n:]...)
		l.first += n
	}
	fmt.Fprintf(l.file, "%s %s\n", at.UTC().Format(time.RFC3339Nano), text)
	l.cond.Broadcast()
}

func (l *containerLog) copy(r io.Reader) {
	b := bufio.NewReaderSize(r, logBuffer)
	for {
		s, err := b.ReadString('\n')
		if s != "" {
			l.add(strings.TrimSuffix(s, "\n"))
		}
		if err != nil {
			return
		}
	}
}

// serve answers what the API server asks a kubelet, on the addresses of all nodes.
func (k *Kubelet) serve() error {
	refuse := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, text, http.StatusNotImplemented) }
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{ns}/{pod}/{container}", k.logs.handle)
	for _, p := range []string{"/exec/", "/attach/", "/portForward/", "/run/"} {
		mux.HandleFunc(p, refuse(noExec))
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	ln, err := net.Listen("tcp", ":"+strconv.Itoa(network.KubeletPort))
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: mux}
	go func() { klog.ErrorS(srv.ServeTLS(ln, k.CertFile, k.KeyFile), "kubelet server") }()
	return nil
}

func (s *logStore) handle(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	l := s.m[logName(r.PathValue("ns"), r.PathValue("pod"), r.PathValue("container"))]
	s.mu.Unlock()
	q := r.URL.Query()
	switch {
	case q.Get("previous") == "true":
		http.Error(w, noPrevious, http.StatusBadRequest)
		return
	case l == nil:
		http.Error(w, "the container is waiting to start, or the pod has gone: there is no log", http.StatusBadRequest)
		return
	}
	left := -1
	if n, err := strconv.Atoi(q.Get("limitBytes")); err == nil {
		left = n
	}
	follow := q.Get("follow") == "true"
	if follow {
		gone := r.Context().Done()
		go func() { <-gone; l.mu.Lock(); defer l.mu.Unlock(); l.cond.Broadcast() }()
	}
	w.Header().Set("Content-Type", "text/plain")
	next := l.start(q)
	for {
		var batch []logLine
		var more bool
		batch, next, more = l.read(next, func() bool { return follow && r.Context().Err() == nil })
		for _, x := range batch {
			line := x.text + "\n"
			if q.Get("timestamps") == "true" {
				line = x.at.UTC().Format(time.RFC3339Nano) + " " + line
			}
			if left >= 0 {
				line = line[:min(left, len(line))]
				left -= len(line)
			}
			if _, err := io.WriteString(w, line); err != nil || left == 0 {
				return
			}
		}
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		if !more {
			return
		}
	}
}

// start is the number of the first line that a request asks for.
func (l *containerLog) start(q map[string][]string) int {
	get := func(k string) string {
		if v := q[k]; len(v) > 0 {
			return v[0]
		}
		return ""
	}
	var since time.Time
	if t, err := time.Parse(time.RFC3339, get("sinceTime")); err == nil {
		since = t
	} else if n, err := strconv.Atoi(get("sinceSeconds")); err == nil {
		since = time.Now().Add(-time.Duration(n) * time.Second)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	next := l.first
	for next < l.first+len(l.lines) && l.lines[next-l.first].at.Before(since) {
		next++
	}
	if n, err := strconv.Atoi(get("tailLines")); err == nil {
		next = max(next, l.first+len(l.lines)-n)
	}
	return next
}

// read returns the lines from next on, waiting for some while wait says so.
func (l *containerLog) read(next int, wait func() bool) (batch []logLine, after int, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for next >= l.first+len(l.lines) && !l.closed && wait() {
		l.cond.Wait()
	}
	next = max(next, l.first)
	if next < l.first+len(l.lines) {
		batch = append(batch, l.lines[next-l.first:]...)
	}
	return batch, next + len(batch), wait() && !l.closed
}
