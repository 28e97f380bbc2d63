package faults

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/klog/v2"
)

const maxIdle = 100 // connections kept to the API server

// Headers by which a front proxy tells the API server whom it speaks for.
const (
	remoteUser  = "X-Remote-User"
	remoteGroup = "X-Remote-Group"
	remoteExtra = "X-Remote-Extra-"
)

// Proxy stands before the API server. Clients prove who they are by certificate or by token, as
// they would to the server itself: a certificate's name and groups are passed on in the headers
// that the server believes a front proxy, a token as it stands.
type Proxy struct {
	state    state
	gate     gate
	resolver request.RequestInfoFactory
	forward  *httputil.ReverseProxy
	requests atomic.Int64
}

type ruleKey struct{}

// New makes a proxy for the server at target, reached by transport, which holds the front proxy's
// certificate.
func New(target *url.URL, transport http.RoundTripper) *Proxy {
	p := &Proxy{
		state:    state{set: &Set{}},
		resolver: request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")},
	}
	p.forward = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
			speakFor(r.Out, r.In)
		},
		Transport:      transport,
		FlushInterval:  -1, // watch events must not wait in a buffer
		ModifyResponse: cutBody,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				klog.ErrorS(err, "faults: forwarding", "path", r.URL.Path)
			}
			w.WriteHeader(http.StatusBadGateway)
		},
	}
	return p
}

// transport reaches the API server in two ways. With the front proxy's certificate a request is from
// whom its headers name; without it, a request is from whom its token names, or from nobody. One way for
// both would make the front proxy itself the author of what comes without a certificate.
type transport struct{ speaking, plain http.RoundTripper }

// Transport reaches the API server, where need be with the front proxy's certificate.
func Transport(ca []byte, cert tls.Certificate) http.RoundTripper {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	to := func(certs ...tls.Certificate) http.RoundTripper {
		return &http.Transport{
			TLSClientConfig:     &tls.Config{RootCAs: pool, Certificates: certs},
			ForceAttemptHTTP2:   true,
			MaxIdleConnsPerHost: maxIdle,
			DisableCompression:  true, // bodies pass as they are
		}
	}
	return &transport{speaking: to(cert), plain: to()}
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get(remoteUser) != "" {
		return t.speaking.RoundTrip(r)
	}
	return t.plain.RoundTrip(r)
}

// speakFor replaces whatever a client says about itself in the front proxy's headers by what its
// certificate says.
func speakFor(out, in *http.Request) {
	for h := range out.Header {
		if h == remoteUser || h == remoteGroup || strings.HasPrefix(h, remoteExtra) {
			delete(out.Header, h)
		}
	}
	if in.TLS == nil || len(in.TLS.VerifiedChains) == 0 {
		return
	}
	s := in.TLS.VerifiedChains[0][0].Subject
	out.Header.Set(remoteUser, s.CommonName)
	for _, g := range s.Organization {
		out.Header.Add(remoteGroup, g)
	}
}

// Serve listens until the listener ends.
func (p *Proxy) Serve(ln net.Listener, conf *tls.Config) error {
	srv := &http.Server{Handler: p, TLSConfig: conf}
	return srv.ServeTLS(&gatedListener{ln, &p.gate}, "", "")
}

// Set replaces all rules. Requests under way keep the rule they met.
func (p *Proxy) Set(s *Set) {
	p.state.mu.Lock()
	p.state.set = s
	p.state.mu.Unlock()
	p.gate.set(s.Silent)
}

// Report says what the proxy was told, and how often it happened.
func (p *Proxy) Report() Report {
	r := p.state.report()
	r.Requests = p.requests.Load()
	return r
}

func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.requests.Add(1)
	info, err := p.resolver.NewRequestInfo(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	rule := p.state.choose(info, r)
	if rule == nil {
		p.forward.ServeHTTP(w, r)
		return
	}
	if d := time.Duration(rule.Delay); d > 0 {
		select {
		case <-time.After(d):
		case <-r.Context().Done():
			return
		}
	}
	switch {
	case rule.Silence:
		<-r.Context().Done()
	case rule.Status != 0:
		fail(w, rule.Status, rule.RetryAfter)
	case rule.Expired == AsStatus:
		fail(w, http.StatusGone, 0)
	case rule.Expired == InStream:
		w.Header().Set("Content-Type", "application/json")
		b, err := json.Marshal(map[string]any{"type": "ERROR", "object": status(http.StatusGone, 0)})
		if err != nil {
			panic(err) // it is made of plain values
		}
		_, _ = w.Write(append(b, '\n'))
	default:
		p.forward.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), ruleKey{}, rule)))
	}
}

var reasons = map[int]metav1.StatusReason{
	http.StatusConflict:            metav1.StatusReasonConflict,
	http.StatusForbidden:           metav1.StatusReasonForbidden,
	http.StatusGone:                metav1.StatusReasonExpired,
	http.StatusTooManyRequests:     metav1.StatusReasonTooManyRequests,
	http.StatusInternalServerError: metav1.StatusReasonInternalError,
	http.StatusServiceUnavailable:  metav1.StatusReasonServiceUnavailable,
	http.StatusGatewayTimeout:      metav1.StatusReasonTimeout,
}

func status(code, retryAfter int) *metav1.Status {
	s := &metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reasons[code],
		Message: fmt.Sprintf("injected fault: %d %s", code, http.StatusText(code)),
	}
	if code == http.StatusGone {
		s.Message = "too old resource version: injected fault"
	}
	if retryAfter > 0 {
		s.Details = &metav1.StatusDetails{RetryAfterSeconds: int32(retryAfter)}
	}
	return s
}

func fail(w http.ResponseWriter, code, retryAfter int) {
	b, err := json.Marshal(status(code, retryAfter))
	if err != nil {
		panic(err) // it is made of plain values
	}
	w.Header().Set("Content-Type", "application/json")
	if retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	w.WriteHeader(code)
	_, _ = w.Write(b)
}

// cutBody gives an answer the end that its rule asks for.
func cutBody(resp *http.Response) error {
	rule, ok := resp.Request.Context().Value(ruleKey{}).(*Rule)
	if !ok || rule.Cut == nil {
		return nil
	}
	if rule.Cut.How == End { // a length would tell that something is missing
		resp.Header.Del("Content-Length")
		resp.ContentLength = -1
	}
	resp.Body = newCutReader(resp.Request.Context(), resp.Body, rule.Cut, resp.Header.Get("Content-Type"))
	return nil
}

// ServerTLS is the proxy's own side: it shows the server's certificate and asks clients for theirs.
func ServerTLS(ca []byte, serving tls.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &tls.Config{Certificates: []tls.Certificate{serving}, ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven}
}
