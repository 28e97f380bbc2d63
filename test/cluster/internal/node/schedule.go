package node

import (
	"context"
	"fmt"
	"runtime"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"rauta.io/cluster/internal/network"
)

const (
	region     = "region-1"
	version    = "v1.36.3"
	podsNode   = "500"
	memoryNode = "16Gi" // pretended: requests are not counted
	diskNode   = "16Gi"
)

// NodeNames are the names of the first n nodes: node-a, node-b and so on, each in the zone with
// the same letter.
func NodeNames(n int) []string {
	var out []string
	for i := range n {
		out = append(out, "node-"+letter(i))
	}
	return out
}

func letter(n int) string { return string(rune('a' + n)) }

func (k *Kubelet) number(name string) int { return slices.Index(k.Names, name) }

func labels(n int, name string) map[string]string {
	return map[string]string{
		v1.LabelHostname: name, v1.LabelOSStable: runtime.GOOS, v1.LabelArchStable: runtime.GOARCH,
		v1.LabelTopologyRegion: region, v1.LabelTopologyZone: "zone-" + letter(n),
	}
}

// register creates a Node that is ready for ever: no controller here would look at its heartbeat.
func (k *Kubelet) register(ctx context.Context, n int) error {
	now := metav1.Now()
	res := v1.ResourceList{
		v1.ResourceCPU: *resource.NewQuantity(int64(runtime.NumCPU()), resource.DecimalSI), v1.ResourceMemory: resource.MustParse(memoryNode),
		v1.ResourcePods: resource.MustParse(podsNode), v1.ResourceEphemeralStorage: resource.MustParse(diskNode),
	}
	nodes := k.Client.CoreV1().Nodes()
	node, err := nodes.Create(ctx, &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: k.Names[n], Labels: labels(n, k.Names[n])}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	node.Spec.Taints = nil // the API server adds not-ready, and no controller here takes it away
	if node, err = nodes.Update(ctx, node, metav1.UpdateOptions{}); err != nil {
		return err
	}
	node.Status = v1.NodeStatus{
		Capacity: res, Allocatable: res,
		Addresses:       []v1.NodeAddress{{Type: v1.NodeInternalIP, Address: network.NodeIP(n)}, {Type: v1.NodeHostName, Address: k.Names[n]}},
		DaemonEndpoints: v1.NodeDaemonEndpoints{KubeletEndpoint: v1.DaemonEndpoint{Port: network.KubeletPort}},
		Conditions: []v1.NodeCondition{{Type: v1.NodeReady, Status: v1.ConditionTrue, Reason: "KubeletReady",
			Message: "pods run as local processes", LastHeartbeatTime: now, LastTransitionTime: now}},
		NodeInfo: v1.NodeSystemInfo{OperatingSystem: runtime.GOOS, Architecture: runtime.GOARCH, KubeletVersion: version, ContainerRuntimeVersion: "process://1"},
	}
	_, err = nodes.UpdateStatus(ctx, node, metav1.UpdateOptions{})
	return err
}

// placement is where a pod is on its way to.
type placement struct{ node, owner string }

// schedule chooses a node and binds the pod to it. Among the nodes that the pod's selector and
// required affinity allow, the one with the fewest pods of the same owner wins, then the one with
// the fewest pods: replicas spread over the zones.
func (k *Kubelet) schedule(ctx context.Context, o *v1.Pod) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.binding[o.UID]; ok || k.pods[o.UID] != nil {
		return
	}
	required := nodeaffinity.GetRequiredNodeAffinity(o)
	best, bestSame, bestAll := "", 0, 0
	for n, name := range k.Names {
		fits, err := required.Match(&v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels(n, name)}})
		if err != nil || !fits {
			continue
		}
		same, all := k.load(name, owner(o))
		if best == "" || same < bestSame || same == bestSame && all < bestAll {
			best, bestSame, bestAll = name, same, all
		}
	}
	if best == "" {
		k.events.Event(o, v1.EventTypeWarning, "FailedScheduling", fmt.Sprintf("none of the nodes %v fits the pod's selector or affinity", k.Names))
		return
	}
	k.binding[o.UID] = placement{best, owner(o)}
	go k.bind(ctx, o, best)
}

func (k *Kubelet) bind(ctx context.Context, o *v1.Pod, name string) {
	err := k.insist(ctx, func() error {
		return k.Client.CoreV1().Pods(o.Namespace).Bind(ctx, &v1.Binding{
			ObjectMeta: metav1.ObjectMeta{Namespace: o.Namespace, Name: o.Name, UID: o.UID},
			Target:     v1.ObjectReference{Kind: "Node", Name: name},
		}, metav1.CreateOptions{})
	})
	if err == nil {
		k.events.Eventf(o, v1.EventTypeNormal, "Scheduled", "Successfully assigned %s/%s to %s", o.Namespace, o.Name, name)
		return
	}
	k.mu.Lock()
	delete(k.binding, o.UID) // it is gone, or somebody else has bound it
	k.mu.Unlock()
}

// load counts the pods of one owner, and all pods, on a node; those on their way included.
func (k *Kubelet) load(name string, own string) (same, all int) {
	for _, p := range k.pods {
		if p.obj.Spec.NodeName == name {
			all++
			if own != "" && owner(p.obj) == own {
				same++
			}
		}
	}
	for _, b := range k.binding {
		if b.node == name {
			all++
			if own != "" && b.owner == own {
				same++
			}
		}
	}
	return same, all
}

func owner(o *v1.Pod) string {
	if c := metav1.GetControllerOf(o); c != nil {
		return string(c.UID)
	}
	return ""
}
