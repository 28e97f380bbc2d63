package network

import (
	"errors"
	"net"
	"sync"
)

const (
	firstPod = 1<<8 + 2 // 10.244.1.2
	lastPod  = 255<<8 + 254
)

// Pool hands out pod addresses, one after the other, and takes them back. An address comes round
// again only after all the others: a late packet for a pod that is gone finds nobody.
type Pool struct {
	mu   sync.Mutex
	next int
	used map[int]bool
}

// NewPool returns a pool with all addresses free.
func NewPool() *Pool { return &Pool{next: firstPod, used: map[int]bool{}} }

// Take returns a free address.
func (p *Pool) Take() (net.IP, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range lastPod - firstPod + 1 {
		n := p.next
		p.next++
		if p.next > lastPod {
			p.next = firstPod
		}
		if !p.used[n] {
			p.used[n] = true
			return net.IPv4(10, 244, byte(n>>8), byte(n)).To4(), nil
		}
	}
	return nil, errors.New("no pod address is free")
}

// Give returns an address to the pool.
func (p *Pool) Give(ip net.IP) {
	if ip = ip.To4(); ip == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.used, int(ip[2])<<8|int(ip[3]))
}
