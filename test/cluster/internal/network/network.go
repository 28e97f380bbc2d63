// Package network makes the cluster's network: one bridge in the cluster's own network namespace,
// one namespace and one veth for each pod. Nothing of it exists outside.
package network

import (
	"fmt"
	"net"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// All addresses are fixed: every cluster has a network namespace to itself, so several clusters
// may use the same ones at the same time. Loopback addresses would be simpler for pods, but the
// API server refuses them in EndpointSlices.
const (
	PodCIDR     = "10.244.0.0/16" // the bridge: nodes are 10.244.0.N, pods 10.244.1.2 and on
	GatewayCIDR = "10.250.0.0/16" // any process may bind any of these: one address per Gateway
	ServiceCIDR = "10.96.0.0/16"  // allocated by the API server, routed nowhere
	ServiceIP   = "10.96.0.1"     // what the API server gives the Service "kubernetes"
	APIHost     = "10.244.0.1"    // API server, and the first node

	// Two addresses for tests that ask for a Gateway address by hand.
	UsableAddress   = "10.250.200.1"
	UnusableAddress = "203.0.113.1"

	APIPort     = 6443
	FaultsPort  = 6444
	KubeletPort = 10250
	EtcdAddr    = "127.0.0.1:2379"
	EtcdPeer    = "127.0.0.1:2380"

	podPrefix  = 16
	bridgeName = "pods"
	podLink    = "eth0"
	// Tests open thousands of short connections: do not run out of local ports.
	localPorts = "10000 65000"
)

// NodeIP is the address of the node with the given number, counted from 0.
func NodeIP(n int) string { return fmt.Sprintf("10.244.0.%d", n+1) }

// Setup prepares the namespace of the control plane: loopback, the bridge with the nodes'
// addresses, and the range that Gateways take their addresses from.
func Setup(nodes int) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	br := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridgeName}}
	if err := netlink.LinkAdd(br); err != nil {
		return fmt.Errorf("bridge (is the kernel's bridge module there?): %w", err)
	}
	for n := range nodes {
		if err := netlink.AddrAdd(br, hostAddr(net.ParseIP(NodeIP(n)))); err != nil {
			return fmt.Errorf("address %s: %w", NodeIP(n), err)
		}
	}
	if err := netlink.LinkSetUp(br); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	_, gateways, err := net.ParseCIDR(GatewayCIDR)
	if err != nil {
		return err
	}
	if err := netlink.RouteAdd(&netlink.Route{
		LinkIndex: lo.Attrs().Index, Dst: gateways, Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Scope: netlink.SCOPE_HOST,
	}); err != nil {
		return fmt.Errorf("local route: %w", err)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte(localPorts), 0o644); err != nil {
		return fmt.Errorf("local ports: %w", err)
	}
	return nil
}

func hostAddr(ip net.IP) *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{IP: ip, Mask: net.CIDRMask(podPrefix, 32)}}
}

// Pod makes a network namespace with one veth into the bridge. It lives as long as the returned
// file is open or a process runs in it; the veth goes with it.
func Pod(ip net.IP) (*os.File, error) {
	f, err := newNamespace()
	if err != nil {
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	if err := connect(f, ip); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func newNamespace() (*os.File, error) {
	type result struct {
		f   *os.File
		err error
	}
	c := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			c <- result{nil, err}
			return
		}
		// As container runtimes do: no privilege is needed for ports below 1024 inside a pod.
		// Not every kernel lets a user namespace write it, and pods run as root there anyway.
		_ = os.WriteFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", []byte("0"), 0o644)
		f, err := os.Open("/proc/thread-self/ns/net")
		c <- result{f, err}
	}()
	r := <-c
	return r.f, r.err
}

func connect(ns *os.File, ip net.IP) error {
	br, err := netlink.LinkByName(bridgeName)
	if err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	ip4 := ip.To4()
	veth := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: fmt.Sprintf("pod%d-%d", ip4[2], ip4[3]), MasterIndex: br.Attrs().Index},
		PeerName:  podLink, PeerNamespace: netlink.NsFd(int(ns.Fd())),
	}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("veth: %w", err)
	}
	if err := netlink.LinkSetUp(veth); err != nil {
		return fmt.Errorf("veth: %w", err)
	}
	h, err := netlink.NewHandleAt(netns.NsHandle(ns.Fd()))
	if err != nil {
		return fmt.Errorf("netlink in the pod: %w", err)
	}
	defer h.Close()
	lo, err := h.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("pod's loopback: %w", err)
	}
	if err := h.LinkSetUp(lo); err != nil {
		return fmt.Errorf("pod's loopback: %w", err)
	}
	eth, err := h.LinkByName(podLink)
	if err != nil {
		return fmt.Errorf("pod's link: %w", err)
	}
	if err := h.AddrAdd(eth, hostAddr(ip)); err != nil {
		return fmt.Errorf("pod's address: %w", err)
	}
	if err := h.LinkSetUp(eth); err != nil {
		return fmt.Errorf("pod's link: %w", err)
	}
	if err := h.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Gw: net.ParseIP(APIHost)}); err != nil {
		return fmt.Errorf("pod's route: %w", err)
	}
	return nil
}
