package node

import (
	"context"
	"reflect"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"k8s.io/klog/v2"
)

// running notes that a container's process has started.
func (p *pod) running(c *v1.Container, st *containerState, id string) {
	yes := true
	p.mu.Lock()
	st.probeOK = c.ReadinessProbe == nil && c.StartupProbe == nil
	st.status.Started = &yes
	st.status.ContainerID = "process://" + id
	st.status.State = v1.ContainerState{Running: &v1.ContainerStateRunning{StartedAt: metav1.Now()}}
	p.mu.Unlock()
	p.changed()
	p.k.events.Eventf(p.obj, v1.EventTypeNormal, "Started", "Started container %s", c.Name)
}

// stopped notes that a container's process ended with code, or could not start because of err.
func (p *pod) stopped(st *containerState, code int, err error) {
	no := false
	p.mu.Lock()
	st.proc, st.probeOK = nil, false
	st.status.Started = &no
	if err != nil {
		st.status.State = v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: "CreateContainerError", Message: err.Error()}}
	} else {
		t := &v1.ContainerStateTerminated{ExitCode: int32(code), Reason: "Completed", FinishedAt: metav1.Now(), ContainerID: st.status.ContainerID}
		if r := st.status.State.Running; r != nil {
			t.StartedAt = r.StartedAt
		}
		if code != 0 {
			t.Reason = "Error"
		}
		st.status.State = v1.ContainerState{Terminated: t}
		st.status.LastTerminationState = *st.status.State.DeepCopy()
	}
	p.mu.Unlock()
	p.changed()
}

// publish writes the pod's status whenever it changed.
func (p *pod) publish(ctx context.Context, end <-chan struct{}) {
	pods := p.k.Client.CoreV1().Pods(p.obj.Namespace)
	for {
		select {
		case <-end:
			return
		case <-p.dirty:
		}
		err := retry.OnError(retry.DefaultBackoff, func(e error) bool { return !apierrors.IsNotFound(e) }, func() error {
			cur, err := pods.Get(ctx, p.obj.Name, metav1.GetOptions{})
			if err != nil || cur.UID != p.obj.UID {
				return err
			}
			old := cur.Status.DeepCopy()
			p.fill(cur)
			if reflect.DeepEqual(old, &cur.Status) {
				return nil
			}
			_, err = pods.UpdateStatus(ctx, cur, metav1.UpdateOptions{})
			return err
		})
		if err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
			klog.ErrorS(err, "status", "pod", klog.KObj(p.obj))
			time.AfterFunc(retryAPI, p.changed)
		}
	}
}

type tally struct{ ready, running, failed int }

func (p *pod) fill(o *v1.Pod) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &o.Status
	s.HostIP, s.HostIPs = p.hostIP, []v1.HostIP{{IP: p.hostIP}}
	if p.ip != nil {
		s.PodIP, s.PodIPs = p.ip.String(), []v1.PodIP{{IP: p.ip.String()}}
	}
	if s.StartTime == nil {
		now := metav1.Now()
		s.StartTime = &now
	}
	s.InitContainerStatuses, _ = p.containers(o.Spec.InitContainers)
	var t tally
	s.ContainerStatuses, t = p.containers(o.Spec.Containers)
	switch {
	case p.ended && (t.failed > 0 || !p.inited):
		s.Phase = v1.PodFailed
	case p.ended:
		s.Phase = v1.PodSucceeded
	case t.running > 0 || s.Phase == v1.PodRunning:
		s.Phase = v1.PodRunning
	default:
		s.Phase = v1.PodPending
	}
	all := t.ready == len(o.Spec.Containers) && !p.ended
	condition(o, v1.PodScheduled, true, "")
	condition(o, v1.PodReadyToStartContainers, p.ip != nil, "NoNetwork")
	condition(o, v1.PodInitialized, p.inited, "ContainersNotInitialized")
	condition(o, v1.ContainersReady, all, "ContainersNotReady")
	// Also while it is being stopped: a kubelet goes on asking, and says what it hears.
	condition(o, v1.PodReady, all, "ContainersNotReady")
	s.ObservedGeneration = o.Generation
}

func (p *pod) containers(cs []v1.Container) (out []v1.ContainerStatus, t tally) {
	for _, c := range cs {
		st := p.states[c.Name]
		if st == nil {
			out = append(out, v1.ContainerStatus{Name: c.Name, Image: c.Image,
				State: v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: p.wait.reason, Message: p.wait.message}}})
			continue
		}
		x := *st.status.DeepCopy()
		x.Ready = x.State.Running != nil && st.probeOK
		if x.Ready {
			t.ready++
		}
		if x.State.Running != nil {
			t.running++
		}
		if e := x.State.Terminated; e != nil && e.ExitCode != 0 || x.State.Waiting != nil {
			t.failed++
		}
		out = append(out, x)
	}
	return out, t
}

func condition(o *v1.Pod, kind v1.PodConditionType, ok bool, reason string) {
	want := v1.ConditionFalse
	if ok {
		want, reason = v1.ConditionTrue, ""
	}
	for i := range o.Status.Conditions {
		c := &o.Status.Conditions[i]
		if c.Type != kind {
			continue
		}
		if c.Status != want {
			c.LastTransitionTime = metav1.Now()
		}
		c.Status, c.Reason, c.ObservedGeneration = want, reason, o.Generation
		return
	}
	o.Status.Conditions = append(o.Status.Conditions, v1.PodCondition{Type: kind, Status: want, Reason: reason,
		LastTransitionTime: metav1.Now(), ObservedGeneration: o.Generation})
}
