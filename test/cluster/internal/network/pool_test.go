package network

import (
	"net"
	"testing"
)

func TestPool(t *testing.T) {
	p := NewPool()
	seen := map[string]bool{}
	_, pods, err := net.ParseCIDR(PodCIDR)
	if err != nil {
		t.Fatal(err)
	}
	var first net.IP
	for range lastPod - firstPod + 1 {
		ip, err := p.Take()
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = ip
		}
		if seen[ip.String()] || !pods.Contains(ip) || ip.String() == NodeIP(0) {
			t.Fatalf("%s a second time, or outside, or the node's", ip)
		}
		seen[ip.String()] = true
	}
	if ip, err := p.Take(); err == nil {
		t.Errorf("%s out of nothing", ip)
	}
	p.Give(first)
	if ip, err := p.Take(); err != nil || !ip.Equal(first) {
		t.Errorf("%s %v, want %s back", ip, err, first)
	}
}
