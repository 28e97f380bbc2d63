package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const (
	// The API's defaults.
	probePeriod    = 10 * time.Second
	probeTimeout   = time.Second
	probeSuccesses = 1
	probeFailures  = 3
	// Before its first success a probe is tried more often than asked: tests need not wait.
	probeEager = 200 * time.Millisecond
)

// probe runs the startup, liveness and readiness probes of a running container.
func (p *pod) probe(ctx context.Context, c *v1.Container, st *containerState) {
	set := func(ok bool) {
		p.mu.Lock()
		was := st.probeOK
		st.probeOK = ok
		p.mu.Unlock()
		if was != ok {
			p.changed()
		}
	}
	kill := func(what string) func(string) bool {
		return func(why string) bool {
			if p.stopping() { // only readiness is asked for then
				return false
			}
			p.k.events.Eventf(p.obj, v1.EventTypeWarning, "Unhealthy", "Container %s failed its %s probe and is restarted: %s", c.Name, what, why)
			p.mu.Lock()
			defer p.mu.Unlock()
			if st.proc != nil {
				_ = st.proc.Signal(syscall.SIGKILL) // it may have just ended
			}
			return false
		}
	}
	if c.StartupProbe != nil {
		passed := false
		p.loop(ctx, c, c.StartupProbe, func() bool { passed = true; return false }, kill("startup"))
		if !passed {
			return
		}
	}
	if c.LivenessProbe != nil {
		go p.loop(ctx, c, c.LivenessProbe, func() bool { return true }, kill("liveness"))
	}
	if c.ReadinessProbe == nil {
		set(true)
		return
	}
	p.loop(ctx, c, c.ReadinessProbe,
		func() bool { set(true); return true },
		func(string) bool { set(false); return true })
}

// loop probes until ctx ends or one of the two functions answers that it is enough. They are called
// whenever the probe has succeeded, or failed, often enough in a row.
func (p *pod) loop(ctx context.Context, c *v1.Container, pr *v1.Probe, success func() bool, failure func(why string) bool) {
	if !sleep(ctx, time.Duration(pr.InitialDelaySeconds)*time.Second) {
		return
	}
	period := seconds(pr.PeriodSeconds, probePeriod)
	timeout := seconds(pr.TimeoutSeconds, probeTimeout)
	successes, failures := max(int(pr.SuccessThreshold), probeSuccesses), int(pr.FailureThreshold)
	if failures == 0 {
		failures = probeFailures
	}
	oks, fails, pause := 0, 0, min(period, probeEager)
	var counted time.Time // eager tries must not use up the failures that the period allows
	for {
		if err := p.probeOnce(ctx, c, pr, timeout); err == nil {
			oks, fails, pause = oks+1, 0, period
			if oks >= successes && !success() {
				return
			}
		} else if ctx.Err() == nil {
			oks = 0
			if time.Since(counted) >= period-probeEager {
				fails, counted = fails+1, time.Now()
			}
			if fails >= failures && !failure(err.Error()) {
				return
			}
		}
		if !sleep(ctx, pause) {
			return
		}
	}
}

func seconds(n int32, otherwise time.Duration) time.Duration {
	if n == 0 {
		return otherwise
	}
	return time.Duration(n) * time.Second
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func (p *pod) probeOnce(ctx context.Context, c *v1.Container, pr *v1.Probe, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if s := pr.TCPSocket; s != nil {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.target(s.Host, c, s.Port))
		if err != nil {
			return err
		}
		return conn.Close()
	}
	g := pr.HTTPGet
	scheme := strings.ToLower(string(g.Scheme))
	if scheme == "" {
		scheme = "http"
	}
	url := scheme + "://" + p.target(g.Host, c, g.Port) + "/" + strings.TrimPrefix(g.Path, "/")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "kube-probe/1.36")
	for _, h := range g.HTTPHeaders {
		if http.CanonicalHeaderKey(h.Name) == "Host" {
			req.Host = h.Value
		}
		req.Header.Set(h.Name, h.Value)
	}
	// As a kubelet does: a probe asks whether the server answers, not who signed its certificate.
	t := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode < 200 || resp.StatusCode >= 400 {
		return fmt.Errorf("%s answered %d", url, resp.StatusCode)
	}
	return nil
}

// target is where a probe connects to: the pod, unless it names a host; a port may be named.
func (p *pod) target(host string, c *v1.Container, port intstr.IntOrString) string {
	if host == "" {
		host = p.ip.String()
	}
	if port.Type == intstr.String {
		for _, q := range c.Ports {
			if q.Name == port.StrVal {
				return net.JoinHostPort(host, strconv.Itoa(int(q.ContainerPort)))
			}
		}
	}
	return net.JoinHostPort(host, port.String())
}
