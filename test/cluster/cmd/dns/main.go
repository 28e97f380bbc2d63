// dns plays the coredns image of the conformance suite's manifests: it answers every query the way
// CoreDNS's whoami plugin does (no answer records; the client's address and port as extras).
package main

import (
	"log"
	"net"
	"strconv"

	"github.com/miekg/dns"
)

const (
	address = ":53"
	zone    = "foo.bar.com." // the only one the suite's Corefile serves
)

func main() {
	h := dns.HandlerFunc(answer)
	errs := make(chan error)
	for _, n := range []string{"udp", "tcp"} {
		go func() { errs <- (&dns.Server{Addr: address, Net: n, Handler: h}).ListenAndServe() }()
	}
	log.Fatal(<-errs)
}

func answer(w dns.ResponseWriter, r *dns.Msg) {
	m := new(dns.Msg)
	m.SetReply(r)
	m.Authoritative = true
	if len(r.Question) == 0 || !dns.IsSubDomain(zone, r.Question[0].Name) {
		m.Rcode = dns.RcodeServerFailure // what a forwarder without upstreams says
		send(w, m)
		return
	}
	host, port, err := net.SplitHostPort(w.RemoteAddr().String())
	p, perr := strconv.Atoi(port)
	ip := net.ParseIP(host)
	if err != nil || perr != nil || ip == nil {
		log.Printf("client address %q: %v %v", w.RemoteAddr(), err, perr)
		return
	}
	name := r.Question[0].Name
	var rr dns.RR
	if v4 := ip.To4(); v4 != nil {
		rr = &dns.A{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: v4}
	} else {
		rr = &dns.AAAA{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeAAAA, Class: dns.ClassINET}, AAAA: ip}
	}
	srv := &dns.SRV{Hdr: dns.RR_Header{Name: "_" + w.RemoteAddr().Network() + "." + name, Rrtype: dns.TypeSRV, Class: dns.ClassINET},
		Port: uint16(p), Target: "."}
	m.Extra = []dns.RR{rr, srv}
	send(w, m)
	log.Printf("%s %s %s", w.RemoteAddr(), dns.TypeToString[r.Question[0].Qtype], name)
}

func send(w dns.ResponseWriter, m *dns.Msg) {
	if err := w.WriteMsg(m); err != nil {
		log.Print(err)
	}
}
