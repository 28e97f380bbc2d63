package faults

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	patience = 10 * time.Second
	quiet    = time.Second            // nothing is heard for so long
	settle   = 500 * time.Millisecond // what was on its way has arrived
)

// backend plays the API server: a watch sends an event each few milliseconds, anything else answers
// ten thousand bytes.
func backend(t *testing.T) *url.URL {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("watch") == "" {
			fmt.Fprint(w, strings.Repeat("x", 10000))
			return
		}
		for n := 0; r.Context().Err() == nil; n++ {
			fmt.Fprintf(w, "{\"n\":%d}\n", n)
			w.(http.Flusher).Flush()
			time.Sleep(5 * time.Millisecond)
		}
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// front is the proxy with its own side of TLS, in HTTP/1.1 or HTTP/2.
func front(t *testing.T, rules string) (*Proxy, map[string]*http.Client, string) {
	t.Helper()
	set, err := Parse([]byte(rules))
	if err != nil {
		t.Fatal(err)
	}
	p := New(backend(t), http.DefaultTransport)
	p.Set(set)
	made := httptest.NewUnstartedServer(nil) // for its certificate
	made.StartTLS()
	t.Cleanup(made.Close)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() { _ = p.Serve(ln, &tls.Config{Certificates: made.TLS.Certificates}) }() // ends with the listener
	clients := map[string]*http.Client{}
	for _, proto := range []string{"http/1.1", "h2"} {
		clients[proto] = &http.Client{Timeout: patience, Transport: &http.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{proto}}, ForceAttemptHTTP2: proto == "h2"}}
	}
	return p, clients, "https://" + ln.Addr().String()
}

const (
	podsPath  = "/api/v1/namespaces/a/pods"
	watchPath = podsPath + "?watch=true&resourceVersion=5"
)

func fetch(c *http.Client, url string) (code int, header http.Header, body string, err error) {
	resp, err := c.Get(url)
	if err != nil {
		return 0, nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, string(b), err
}

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name, rule, path string
		code             int
		events, bytes    int  // of the body; -1: do not look
		broken           bool // the body ends in an error
		reason           metav1.StatusReason
	}{
		{"none matches", `{"match":{"verbs":["delete"]},"status":500}`, podsPath, 200, -1, 10000, false, ""},
		{"429", `{"match":{"verbs":["list"],"resources":["pods"],"group":"","namespace":"a","userAgent":"Go-http"},"status":429,"retryAfter":7}`, podsPath, 429, -1, -1, false, metav1.StatusReasonTooManyRequests},
		{"500", `{"match":{},"status":500}`, podsPath, 500, -1, -1, false, metav1.StatusReasonInternalError},
		{"410 as status", `{"match":{},"expired":"status"}`, watchPath, 410, -1, -1, false, metav1.StatusReasonExpired},
		{"410 spares a list", `{"match":{},"expired":"status"}`, podsPath, 200, -1, 10000, false, ""},
		{"410 in the stream", `{"match":{},"expired":"event"}`, watchPath, 200, 1, -1, false, ""},
		{"events, abort", `{"match":{"verbs":["watch"]},"cut":{"events":3}}`, watchPath, 200, 3, -1, true, ""},
		{"events, end", `{"match":{},"cut":{"events":3,"how":"end"}}`, watchPath, 200, 3, -1, false, ""},
		{"time, end", `{"match":{},"cut":{"after":"100ms","how":"end"}}`, watchPath, 200, -1, -1, false, ""},
		{"time, abort", `{"match":{},"cut":{"after":"100ms"}}`, watchPath, 200, -1, -1, true, ""},
		{"bytes, abort", `{"match":{},"cut":{"bytes":123}}`, podsPath, 200, -1, 123, true, ""},
		{"bytes, end", `{"match":{},"cut":{"bytes":123,"how":"end"}}`, podsPath, 200, -1, 123, false, ""},
		{"no bytes", `{"match":{},"cut":{"bytes":0,"how":"end"}}`, podsPath, 200, -1, 0, false, ""},
	} {
		_, clients, base := front(t, `{"rules":[`+c.rule+`]}`)
		for proto, client := range clients {
			t.Run(c.name+" "+proto, func(t *testing.T) {
				code, header, body, err := fetch(client, base+c.path)
				if code != c.code {
					t.Errorf("status %d, want %d", code, c.code)
				}
				if broken := err != nil; broken != c.broken {
					t.Errorf("body's end: %v", err)
				}
				if n := strings.Count(body, "\n"); c.events >= 0 && (n != c.events || !strings.HasSuffix(body, "\n")) {
					t.Errorf("%d events in %q, want %d", n, body, c.events)
				}
				if c.bytes >= 0 && len(body) != c.bytes {
					t.Errorf("%d bytes, want %d", len(body), c.bytes)
				}
				if c.reason != "" {
					var s metav1.Status
					if err := json.Unmarshal([]byte(body), &s); err != nil || s.Reason != c.reason || s.Kind != "Status" {
						t.Errorf("%v: %s", err, body)
					}
				}
				if c.code == 429 && header.Get("Retry-After") != "7" {
					t.Errorf("header: %v", header)
				}
				if strings.HasPrefix(c.name, "410 in") && !strings.Contains(body, `"type":"ERROR"`) {
					t.Errorf("no ERROR event: %s", body)
				}
			})
		}
	}
}

func TestSkipTimesAndShare(t *testing.T) {
	p, clients, base := front(t, `{"rules":[{"match":{"verbs":["list"]},"skip":2,"times":3,"status":500},{"match":{"verbs":["get"]},"share":0.5,"status":503}]}`)
	var codes []int
	for range 7 {
		code, _, _, err := fetch(clients["http/1.1"], base+podsPath)
		if err != nil {
			t.Fatal(err)
		}
		codes = append(codes, code)
	}
	if got := fmt.Sprint(codes); got != "[200 200 500 500 500 200 200]" {
		t.Errorf("%s", got)
	}
	failed := 0
	const tries = 400
	for range tries {
		if code, _, _, err := fetch(clients["h2"], base+podsPath+"/one"); err != nil {
			t.Fatal(err)
		} else if code == 503 {
			failed++
		}
	}
	if failed < tries*3/10 || failed > tries*7/10 { // eight standard deviations
		t.Errorf("%d of %d failed", failed, tries)
	}
	r := p.Report()
	if r.Requests != 7+tries || r.Rules[0].Seen != 7 || r.Rules[0].Hit != 3 || r.Rules[1].Hit != failed {
		t.Errorf("%+v", r)
	}
}

func TestDelayAndSilence(t *testing.T) {
	_, clients, base := front(t, `{"rules":[{"match":{"verbs":["get"]},"delay":"200ms"},{"match":{"verbs":["list"]},"silence":true},{"match":{"verbs":["watch"]},"cut":{"events":2,"how":"hang"}}]}`)
	for proto, c := range clients {
		start := time.Now()
		if code, _, _, err := fetch(c, base+podsPath+"/one"); err != nil || code != 200 || time.Since(start) < 200*time.Millisecond {
			t.Errorf("%s: delay: %d %v after %s", proto, code, err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), quiet)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+podsPath, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Do(req); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: silence: %v", proto, err)
		}
		cancel()
		ctx, cancel = context.WithTimeout(t.Context(), quiet)
		if req, err = http.NewRequestWithContext(ctx, http.MethodGet, base+watchPath, nil); err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if strings.Count(string(b), "\n") != 2 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: hang: %q %v", proto, b, err)
		}
		cancel()
	}
}

// TestTotalSilence: an open watch hears nothing more, a new client not even a handshake; later all goes on.
func TestTotalSilence(t *testing.T) {
	p, clients, base := front(t, `{}`)
	resp, err := clients["h2"].Get(base + watchPath)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	events := make(chan string, 10000)
	go func() {
		for s := bufio.NewScanner(resp.Body); s.Scan(); {
			events <- s.Text()
		}
		close(events)
	}()
	<-events
	p.Set(&Set{Silent: true})
	time.Sleep(settle)
	for len(events) > 0 {
		<-events
	}
	select {
	case e := <-events:
		t.Errorf("heard %s", e)
	case <-time.After(quiet):
	}
	raw, err := net.Dial("tcp", strings.TrimPrefix(base, "https://"))
	if err != nil {
		t.Fatalf("not accepted: %v", err)
	}
	defer raw.Close()
	hello := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	ctx, cancel := context.WithTimeout(t.Context(), quiet)
	defer cancel()
	if err := hello.HandshakeContext(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("handshake: %v", err)
	}
	p.Set(&Set{})
	select {
	case _, ok := <-events:
		if !ok {
			t.Error("the watch ended")
		}
	case <-time.After(patience):
		t.Error("the watch does not go on")
	}
	if code, _, _, err := fetch(clients["http/1.1"], base+podsPath); err != nil || code != 200 {
		t.Errorf("a new client: %d %v", code, err)
	}
}
