// Package node is scheduler and kubelet in one. Pods are plain processes of this machine, each pod
// in a network namespace of its own, each container in a file system of its own. It plays several
// nodes, each in a zone of its own, so that topology can be tested on one machine.
package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"rauta.io/cluster/internal/network"
	"rauta.io/cluster/internal/sandbox"
)

const retryAPI = time.Second // between two tries of what the API server has to be told

// Config is what a Kubelet needs to know.
type Config struct {
	Client   clientset.Interface
	Dir      string            // pods/ and logs/ are made in it
	Names    []string          // of the nodes
	Images   Images            //
	MaxGrace time.Duration     // upper bound on a pod's grace period
	APIPort  int               // where pods find the API server
	Children *sandbox.Children // starts and collects processes
	CertFile string            // of the kubelet's HTTPS server
	KeyFile  string
}

// Kubelet binds every pod to one of its nodes and runs it.
type Kubelet struct {
	Config
	addresses *network.Pool
	logs      *logStore
	events    record.EventRecorder

	unpacking sync.Mutex
	unpacked  map[string]*ociImage // by the layout's path

	mu      sync.Mutex
	pods    map[types.UID]*pod
	binding map[types.UID]placement // pods on the way to a node
}

// New prepares a Kubelet; Start starts it.
func New(c Config) (*Kubelet, error) {
	k := &Kubelet{Config: c, addresses: network.NewPool(), pods: map[types.UID]*pod{}, binding: map[types.UID]placement{}, unpacked: map[string]*ociImage{}}
	var err error
	if k.logs, err = newLogStore(filepath.Join(c.Dir, "logs")); err != nil {
		return nil, err
	}
	return k, os.MkdirAll(k.podsDir(), 0o755)
}

func (k *Kubelet) podsDir() string { return filepath.Join(k.Dir, "pods") }

// Start makes the nodes known and serves pods until ctx ends.
func (k *Kubelet) Start(ctx context.Context) error {
	b := record.NewBroadcaster(record.WithContext(ctx))
	b.StartRecordingToSink(&typedcore.EventSinkImpl{Interface: k.Client.CoreV1().Events("")})
	k.events = b.NewRecorder(scheme.Scheme, v1.EventSource{Component: "kubelet"})
	if err := k.serve(); err != nil {
		return fmt.Errorf("kubelet server: %w", err)
	}
	for n := range k.Names {
		if err := k.register(ctx, n); err != nil {
			return fmt.Errorf("node %s: %w", k.Names[n], err)
		}
	}
	f := informers.NewSharedInformerFactory(k.Client, 0)
	pods := f.Core().V1().Pods().Informer()
	_, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { k.seen(ctx, o.(*v1.Pod)) },
		UpdateFunc: func(_, o any) { k.seen(ctx, o.(*v1.Pod)) },
		DeleteFunc: func(o any) {
			if t, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = t.Obj
			}
			if p, ok := o.(*v1.Pod); ok {
				k.gone(p)
			}
		},
	})
	if err != nil {
		return err
	}
	if err := k.watchVolumes(ctx, f); err != nil {
		return err
	}
	f.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), pods.HasSynced) {
		return fmt.Errorf("pods: no first list")
	}
	return nil
}

// seen is told of every pod as it is now.
func (k *Kubelet) seen(ctx context.Context, o *v1.Pod) {
	if o.Spec.NodeName == "" {
		if o.DeletionTimestamp == nil {
			k.schedule(ctx, o)
		}
		return
	}
	n := k.number(o.Spec.NodeName)
	if n < 0 {
		return
	}
	k.mu.Lock()
	delete(k.binding, o.UID)
	p := k.pods[o.UID]
	over := o.Status.Phase == v1.PodSucceeded || o.Status.Phase == v1.PodFailed
	if p == nil && !over && o.DeletionTimestamp == nil {
		p = newPod(k, o, network.NodeIP(n))
		k.pods[o.UID] = p
		go p.run(ctx)
	}
	k.mu.Unlock()
	if p != nil {
		p.update(ctx, o)
	}
	if o.DeletionTimestamp == nil {
		return
	}
	if p == nil {
		go k.remove(ctx, o)
		return
	}
	grace := k.MaxGrace
	if s := o.DeletionGracePeriodSeconds; s != nil {
		grace = min(grace, time.Duration(*s)*time.Second)
	}
	p.terminate(grace)
}

// gone is told of a pod that is no longer in the API.
func (k *Kubelet) gone(o *v1.Pod) {
	k.mu.Lock()
	p := k.pods[o.UID]
	delete(k.pods, o.UID)
	delete(k.binding, o.UID)
	k.mu.Unlock()
	if p != nil {
		p.terminate(0)
	}
}

// remove takes a terminated pod out of the API.
func (k *Kubelet) remove(ctx context.Context, o *v1.Pod) {
	now := int64(0)
	_ = k.insist(ctx, func() error { // gone already is as good
		return k.Client.CoreV1().Pods(o.Namespace).Delete(ctx, o.Name, metav1.DeleteOptions{
			GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &o.UID}})
	})
}

// insist tries again until the API server has said yes, or no for good: no later event would make up
// for what was not said to it.
func (k *Kubelet) insist(ctx context.Context, f func() error) error {
	for {
		err := f()
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) || ctx.Err() != nil {
			return err
		}
		klog.ErrorS(err, "tried in vain, trying again")
		if !sleep(ctx, retryAPI) {
			return ctx.Err()
		}
	}
}

func (k *Kubelet) each(f func(*pod)) {
	k.mu.Lock()
	all := make([]*pod, 0, len(k.pods))
	for _, p := range k.pods {
		all = append(all, p)
	}
	k.mu.Unlock()
	for _, p := range all {
		f(p)
	}
}
