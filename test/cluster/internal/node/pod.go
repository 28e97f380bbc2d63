package node

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"

	"rauta.io/cluster/internal/network"
)

const (
	retryVolumes = 200 * time.Millisecond // a Secret or ConfigMap may come after the pod
	retryNetwork = time.Second
	backoffFirst = time.Second // between two starts of a container that ended
	backoffLimit = 30 * time.Second
	backoffReset = 10 * time.Second // a container that ran for so long starts anew at backoffFirst
)

// pod is one pod: a network namespace, some files, and a process per container.
type pod struct {
	k          *Kubelet
	obj        *v1.Pod // as first seen: the spec does not change in ways that matter here
	hostIP     string
	dir        string
	stop       chan struct{} // closed when the pod shall end
	once       sync.Once
	grace      time.Duration
	dirty      chan struct{} // the status changed
	refreshing sync.Mutex
	netns      *os.File // nil for a pod on the host's network

	mu      sync.Mutex
	ip      net.IP
	now     *v1.Pod // with its labels and annotations as they are now, for the downward API
	states  map[string]*containerState
	wait    waiting // why no container runs yet
	inited  bool
	ended   bool
	volumes map[string]*volume
}

// waiting is what a container says in its status while it does not run.
type waiting struct{ reason, message string }

type containerState struct {
	status  v1.ContainerStatus
	proc    *os.Process
	probeOK bool
}

func newPod(k *Kubelet, o *v1.Pod, hostIP string) *pod {
	return &pod{k: k, obj: o, now: o, hostIP: hostIP, dir: filepath.Join(k.podsDir(), string(o.UID)), stop: make(chan struct{}),
		dirty: make(chan struct{}, 1), states: map[string]*containerState{}, wait: waiting{reason: "ContainerCreating"},
		volumes: map[string]*volume{}}
}

func (p *pod) terminate(grace time.Duration) {
	p.once.Do(func() { p.grace = grace; close(p.stop) })
	if grace == 0 {
		p.signal(syscall.SIGKILL)
	}
}

func (p *pod) signal(sig os.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.states {
		if s.proc != nil {
			_ = s.proc.Signal(sig) // it may have just ended
		}
	}
}

func (p *pod) changed() {
	select {
	case p.dirty <- struct{}{}:
	default:
	}
}

func (p *pod) stopping() bool {
	select {
	case <-p.stop:
		return true
	default:
		return false
	}
}

// pause waits, unless the pod ends first.
func (p *pod) pause(d time.Duration) bool {
	select {
	case <-p.stop:
		return false
	case <-time.After(d):
		return true
	}
}

// setWait says why no container runs, in the pod's status and, once for each reason, as an event.
func (p *pod) setWait(w waiting) {
	p.mu.Lock()
	same := p.wait == w
	p.wait = w
	p.mu.Unlock()
	if same {
		return
	}
	p.changed()
	if w.message != "" {
		p.k.events.Event(p.obj, v1.EventTypeWarning, w.reason, w.message)
	}
}

func (p *pod) run(ctx context.Context) {
	var status sync.WaitGroup
	statusEnd := make(chan struct{})
	status.Go(func() { p.publish(ctx, statusEnd) })
	p.changed()
	var containers sync.WaitGroup
	started := false
	containers.Go(func() { started = p.prepare(ctx, &containers) })

	done := make(chan struct{})
	go func() { containers.Wait(); close(done) }()
	select {
	case <-done: // the restart policy let them all end
		p.mu.Lock()
		p.ended = started && !p.stopping()
		p.mu.Unlock()
		p.changed()
	case <-p.stop:
	}
	<-p.stop
	p.end(done)
	close(statusEnd)
	status.Wait()
	p.cleanUp()
	p.k.remove(ctx, p.obj)
}

// end stops the containers in order: preStop sleep, SIGTERM, the grace period, SIGKILL.
func (p *pod) end(done <-chan struct{}) {
	select {
	case <-done:
		return
	default:
	}
	p.k.events.Event(p.obj, v1.EventTypeNormal, "Killing", "Stopping the pod's containers")
	grace := time.After(p.grace)
	if d := p.preStop(); d > 0 {
		select {
		case <-time.After(d):
		case <-grace:
		case <-done:
		}
	}
	p.signal(syscall.SIGTERM)
	select {
	case <-done:
	case <-grace:
		p.signal(syscall.SIGKILL)
		<-done
	}
}

func (p *pod) cleanUp() {
	if p.netns != nil {
		p.netns.Close()
		p.k.addresses.Give(p.ip)
	}
	if err := os.RemoveAll(p.dir); err != nil {
		klog.ErrorS(err, "removing files", "pod", klog.KObj(p.obj))
	}
	for _, c := range p.obj.Spec.InitContainers {
		p.k.logs.drop(logName(p.obj.Namespace, p.obj.Name, c.Name), p.obj.UID)
	}
	for _, c := range p.obj.Spec.Containers {
		p.k.logs.drop(logName(p.obj.Namespace, p.obj.Name, c.Name), p.obj.UID)
	}
}

// preStop is how long preStop hooks of the `sleep` kind ask for; there are no others here.
func (p *pod) preStop() (d time.Duration) {
	for _, c := range p.obj.Spec.Containers {
		if l := c.Lifecycle; l != nil && l.PreStop != nil && l.PreStop.Sleep != nil {
			d = max(d, time.Duration(l.PreStop.Sleep.Seconds)*time.Second)
		}
	}
	return d
}

// prepare makes the network and the volumes, runs the init containers and starts the others. It
// answers false when the pod was stopped, or refused, before that.
func (p *pod) prepare(ctx context.Context, wg *sync.WaitGroup) bool {
	if why := unsupported(p.obj); why != "" {
		// Pending for ever rather than Failed: a controller would replace a failed pod at once, for ever.
		p.setWait(waiting{"Unsupported", why})
		return false
	}
	for {
		err := p.network()
		if err == nil {
			break
		}
		p.setWait(waiting{"FailedCreatePodSandBox", err.Error()})
		if !p.pause(retryNetwork) {
			return false
		}
	}
	for {
		err := p.makeVolumes(ctx)
		if err == nil {
			break
		}
		p.setWait(waiting{"FailedMount", err.Error()})
		if !p.pause(retryVolumes) {
			return false
		}
	}
	p.setWait(waiting{reason: "PodInitializing"})
	for i := range p.obj.Spec.InitContainers {
		c := &p.obj.Spec.InitContainers[i]
		if c.RestartPolicy != nil && *c.RestartPolicy == v1.ContainerRestartPolicyAlways {
			wg.Go(func() { p.supervise(ctx, c, v1.RestartPolicyAlways) })
			continue
		}
		policy := p.obj.Spec.RestartPolicy
		if policy == v1.RestartPolicyAlways {
			policy = v1.RestartPolicyOnFailure
		}
		if code := p.supervise(ctx, c, policy); code != 0 || p.stopping() {
			return !p.stopping()
		}
	}
	p.mu.Lock()
	p.inited = true
	p.mu.Unlock()
	for i := range p.obj.Spec.Containers {
		c := &p.obj.Spec.Containers[i]
		wg.Go(func() { p.supervise(ctx, c, p.obj.Spec.RestartPolicy) })
	}
	return true
}

func (p *pod) network() error {
	if p.obj.Spec.HostNetwork {
		p.mu.Lock()
		p.ip = net.ParseIP(p.hostIP)
		p.mu.Unlock()
		return nil
	}
	ip, err := p.k.addresses.Take()
	if err != nil {
		return err
	}
	f, err := network.Pod(ip)
	if err != nil {
		p.k.addresses.Give(ip)
		return err
	}
	p.mu.Lock()
	p.ip, p.netns = ip, f
	p.mu.Unlock()
	return nil
}

// supervise runs one container again and again, as its restart policy says, and returns the last
// exit status.
func (p *pod) supervise(ctx context.Context, c *v1.Container, policy v1.RestartPolicy) int {
	st := &containerState{status: v1.ContainerStatus{Name: c.Name, Image: c.Image, ImageID: c.Image}}
	p.mu.Lock()
	p.states[c.Name] = st
	p.mu.Unlock()
	backoff := backoffFirst
	for {
		began := time.Now()
		code, err := p.runOnce(ctx, c, st)
		p.stopped(st, code, err)
		if err != nil {
			p.k.events.Event(p.obj, v1.EventTypeWarning, "Failed", err.Error())
			code = 128
		}
		if p.stopping() || policy == v1.RestartPolicyNever || (policy == v1.RestartPolicyOnFailure && code == 0) {
			return code
		}
		if time.Since(began) > backoffReset {
			backoff = backoffFirst
		}
		if !p.pause(backoff) {
			return code
		}
		backoff = min(2*backoff, backoffLimit)
		if err == nil {
			p.mu.Lock()
			st.status.RestartCount++
			p.mu.Unlock()
			p.k.events.Eventf(p.obj, v1.EventTypeWarning, "BackOff", "Restarting container %s, which ended with status %d", c.Name, code)
		}
	}
}
