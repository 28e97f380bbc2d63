package smoke

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var crdResource = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// ifNew forgives that an object is there already.
func ifNew(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

const speaks = `trap 'echo bye; exit 0' TERM; echo "hello from $(hostname)"; while :; do sleep 0.1; done`

func TestInsideDeployment(t *testing.T) {
	i := newInside(t)
	i.deployment("web", 2, shell(speaks))
	i.settled("web", 2)

	deployments := i.client.AppsV1().Deployments(i.ns)
	_, err := deployments.Patch(i.ctx, "web", types.MergePatchType, []byte(`{"spec":{"replicas":4}}`), metav1.PatchOptions{})
	must(t, err)
	before := i.settled("web", 4)
	old := before[0].Name
	i.logHas(old, "hello from "+old+"\n")
	if s := i.logs(old, &v1.PodLogOptions{Timestamps: true}); !strings.Contains(s, time.Now().UTC().Format("2006-")) {
		t.Errorf("no timestamps: %s", s)
	}

	// Somebody follows the log of a pod that a restart will take away: the end is heard too.
	stream, err := i.client.CoreV1().Pods(i.ns).GetLogs(old, &v1.PodLogOptions{Follow: true}).Stream(i.ctx)
	must(t, err)
	heard := make(chan string, 1)
	go func() {
		var last string
		for s := bufio.NewScanner(stream); s.Scan(); {
			last = s.Text()
		}
		heard <- last
	}()

	// What `kubectl rollout restart` does.
	_, err = deployments.Patch(i.ctx, "web", types.StrategicMergePatchType,
		[]byte(`{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`), metav1.PatchOptions{})
	must(t, err)
	i.eventually("the rollout done", func() (bool, string) {
		d, err := deployments.Get(i.ctx, "web", metav1.GetOptions{})
		must(t, err)
		s := d.Status
		return s.ObservedGeneration == d.Generation && s.UpdatedReplicas == 4 && s.Replicas == 4 && s.AvailableReplicas == 4, fmt.Sprintf("%+v", s)
	})
	was := map[string]bool{}
	for _, p := range before {
		was[p.Name] = true
	}
	for _, p := range i.settled("web", 4) {
		if was[p.Name] {
			t.Errorf("pod %s was not replaced", p.Name)
		}
	}
	select {
	case last := <-heard:
		if last != "bye" {
			t.Errorf("the last line of a stopped pod is %q", last)
		}
	case <-time.After(patience):
		t.Error("the followed log does not end with its pod")
	}

	must(t, deployments.Delete(i.ctx, "web", metav1.DeleteOptions{}))
	i.eventually("all pods gone", func() (bool, string) { p := i.pods("web"); return len(p) == 0, fmt.Sprint(len(p)) })
}

func TestInsideDaemonSet(t *testing.T) {
	i := newInside(t)
	labels := map[string]string{"app": "agent"}
	sets := i.client.AppsV1().DaemonSets(i.ns)
	_, err := sets.Create(i.ctx, &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "agent"},
		Spec: appsv1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template(labels, shell(speaks))}}, metav1.CreateOptions{})
	must(t, err)
	onEach := func() map[string]string {
		nodes := map[string]string{}
		for _, p := range i.settled("agent", baseZones) {
			nodes[p.Spec.NodeName] = p.Name
		}
		if len(nodes) != baseZones {
			t.Errorf("one on each node: %v", nodes)
		}
		return nodes
	}
	before := onEach()
	_, err = sets.Patch(i.ctx, "agent", types.StrategicMergePatchType, []byte(`{"spec":{"template":{"metadata":{"annotations":{"again":"1"}}}}}`), metav1.PatchOptions{})
	must(t, err)
	i.eventually("the rollout done", func() (bool, string) {
		d, err := sets.Get(i.ctx, "agent", metav1.GetOptions{})
		must(t, err)
		s := d.Status
		return s.ObservedGeneration == d.Generation && s.UpdatedNumberScheduled == baseZones && s.NumberAvailable == baseZones, fmt.Sprintf("%+v", s)
	})
	for node, name := range onEach() {
		if before[node] == name {
			t.Errorf("pod %s was not replaced", name)
		}
	}
}

// TestInsideVolumes changes a ConfigMap, a Secret and the pod's labels, and the running pod sees it.
func TestInsideVolumes(t *testing.T) {
	i := newInside(t)
	core := i.client.CoreV1()
	cm, err := core.ConfigMaps(i.ns).Create(i.ctx, &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Data: map[string]string{"k": "one", "gone": "x"}}, metav1.CreateOptions{})
	must(t, err)
	secret, err := core.Secrets(i.ns).Create(i.ctx, &v1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}, StringData: map[string]string{"k": "un"}}, metav1.CreateOptions{})
	must(t, err)
	main := shell(`while :; do echo "$(cat /c/k) $(ls /c | tr '\n' ' ') $(cat /p/secret) $(cat /p/labels)"; sleep 0.1; done`)
	main.VolumeMounts = []v1.VolumeMount{{Name: "c", MountPath: "/c"}, {Name: "p", MountPath: "/p"}}
	i.pod("reader", v1.PodSpec{Containers: []v1.Container{main}, Volumes: []v1.Volume{
		{Name: "c", VolumeSource: v1.VolumeSource{ConfigMap: &v1.ConfigMapVolumeSource{LocalObjectReference: v1.LocalObjectReference{Name: "c"}}}},
		{Name: "p", VolumeSource: v1.VolumeSource{Projected: &v1.ProjectedVolumeSource{Sources: []v1.VolumeProjection{
			{Secret: &v1.SecretProjection{LocalObjectReference: v1.LocalObjectReference{Name: "s"}, Items: []v1.KeyToPath{{Key: "k", Path: "secret"}}}},
			{DownwardAPI: &v1.DownwardAPIProjection{Items: []v1.DownwardAPIVolumeFile{{Path: "labels", FieldRef: &v1.ObjectFieldSelector{FieldPath: "metadata.labels"}}}}},
		}}}},
	}})
	i.logHas("reader", "one gone k  un app=\"reader\"")
	cm.Data = map[string]string{"k": "two", "new": "y"}
	_, err = core.ConfigMaps(i.ns).Update(i.ctx, cm, metav1.UpdateOptions{})
	must(t, err)
	i.logHas("reader", "two k new  un ")
	secret.StringData = map[string]string{"k": "deux"}
	_, err = core.Secrets(i.ns).Update(i.ctx, secret, metav1.UpdateOptions{})
	must(t, err)
	i.logHas("reader", "two k new  deux ")
	_, err = core.Pods(i.ns).Patch(i.ctx, "reader", types.MergePatchType, []byte(`{"metadata":{"labels":{"zz":"top"}}}`), metav1.PatchOptions{})
	must(t, err)
	i.logHas("reader", "zz=\"top\"")
}

// onlyRoot says whether the cluster runs in a user's namespace, in which there is no other user.
func onlyRoot(t *testing.T) bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	must(t, err)
	f := strings.Fields(string(b))
	return len(f) == 3 && f[2] == "1"
}

// TestInsideLife goes through what a container may meet: init, probes, restart, the end of a job.
func TestInsideLife(t *testing.T) {
	i := newInside(t)
	probed := shell(`test "$ADDRESS" && exec sleep 1000`)
	probed.Image, probed.Command = "registry.test/gateway-api/echo-basic:v1", nil
	probed.Env = []v1.EnvVar{{Name: "POD_NAME", Value: "$(WHO)-pod"}, {Name: "WHO", Value: "x"}}
	probed.Ports = []v1.ContainerPort{{Name: "web", ContainerPort: 3000}}
	probed.ReadinessProbe = &v1.Probe{ProbeHandler: v1.ProbeHandler{HTTPGet: &v1.HTTPGetAction{Path: "/health", Port: intstr.FromString("web")}}}
	probed.StartupProbe = &v1.Probe{ProbeHandler: v1.ProbeHandler{TCPSocket: &v1.TCPSocketAction{Port: intstr.FromInt32(3000)}}, PeriodSeconds: 1}
	first := shell("echo first")
	first.Name = "first"
	i.pod("probed", v1.PodSpec{InitContainers: []v1.Container{first}, Containers: []v1.Container{probed}})
	i.settled("probed", 1)
	if s := i.logs("probed", &v1.PodLogOptions{Container: "first"}); s != "first\n" {
		t.Errorf("init container's log: %q", s)
	}

	sick := shell("exec sleep 1000")
	sick.LivenessProbe = &v1.Probe{ProbeHandler: v1.ProbeHandler{TCPSocket: &v1.TCPSocketAction{Port: intstr.FromInt32(1)}}, PeriodSeconds: 1, FailureThreshold: 2}
	i.pod("sick", v1.PodSpec{Containers: []v1.Container{sick}})
	i.eventually("a restart by the liveness probe", func() (bool, string) {
		p := i.getPod("sick")
		return len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].RestartCount > 0, fmt.Sprintf("%+v", p.Status)
	})
	user, group, group2 := int64(1000), int64(2000), int64(3000)
	who := shell("id -u; id -g; id -G; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; hostname")
	who.SecurityContext = &v1.SecurityContext{RunAsGroup: &group}
	i.pod("who", v1.PodSpec{RestartPolicy: v1.RestartPolicyNever, Containers: []v1.Container{who}, SecurityContext: &v1.PodSecurityContext{RunAsUser: &user, FSGroup: &group2}})
	want := "1000\n2000\n2000 3000\n0\nwho\n"
	if onlyRoot(t) {
		want = "0\n0\n"
	}
	i.logHas("who", want)

	i.pod("host", v1.PodSpec{HostNetwork: true, Containers: []v1.Container{shell("ls /sys/class/net /proc/net; grep -c pods: /proc/net/dev; exec sleep 1000")}})
	i.logHas("host", "\n1\n")
	if p := i.settled("host", 1)[0]; p.Status.PodIP != p.Status.HostIP || !strings.HasPrefix(p.Status.PodIP, "10.244.0.") {
		t.Errorf("a pod on the host's network: %s on %s", p.Status.PodIP, p.Status.HostIP)
	}

	i.pod("job", v1.PodSpec{RestartPolicy: v1.RestartPolicyNever, Containers: []v1.Container{shell("exit 3")}})
	i.eventually("a failed job", func() (bool, string) {
		p := i.getPod("job")
		return p.Status.Phase == v1.PodFailed && p.Status.ContainerStatuses[0].State.Terminated.ExitCode == 3, fmt.Sprintf("%+v", p.Status)
	})
}

// TestInsideRefusals: what is not offered is refused in plain words.
func TestInsideRefusals(t *testing.T) {
	i := newInside(t)
	i.pod("plain", v1.PodSpec{Containers: []v1.Container{shell(speaks)}})
	i.settled("plain", 1)
	kubectl := filepath.Join(filepath.Dir(os.Getenv(binEnv)), "kubectl")
	for _, args := range [][]string{{"exec", "plain", "--", "true"}, {"attach", "plain"}} {
		out, err := exec.Command(kubectl, append([]string{"--namespace", i.ns}, args...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "exec, attach and port-forward are not offered") {
			t.Errorf("kubectl %v: %v: %s", args, err, out)
		}
	}
	probed := shell(speaks)
	probed.ReadinessProbe = &v1.Probe{ProbeHandler: v1.ProbeHandler{Exec: &v1.ExecAction{Command: []string{"true"}}}}
	i.pod("probed", v1.PodSpec{Containers: []v1.Container{probed}})
	const want = "container main: the readiness probe is of a kind not offered here (httpGet and tcpSocket are; exec and grpc are not)"
	i.eventually("an exec probe refused", func() (bool, string) {
		p := i.getPod("probed")
		if len(p.Status.ContainerStatuses) == 0 || p.Status.ContainerStatuses[0].State.Waiting == nil {
			return false, fmt.Sprintf("%+v", p.Status)
		}
		w := p.Status.ContainerStatuses[0].State.Waiting
		return p.Status.Phase == v1.PodPending && w.Reason == "Unsupported" && w.Message == want, fmt.Sprintf("%+v", w)
	})
	i.eventually("an event that says so", func() (bool, string) {
		l, err := i.client.CoreV1().Events(i.ns).List(i.ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=probed,reason=Unsupported"})
		must(t, err)
		return len(l.Items) == 1 && l.Items[0].Message == want, fmt.Sprintf("%+v", l.Items)
	})
	zero := int64(0)
	must(t, i.client.CoreV1().Pods(i.ns).Delete(i.ctx, "probed", metav1.DeleteOptions{GracePeriodSeconds: &zero}))
}

// TestInsideSecurity: what a security context says holds, as it does with a container runtime.
func TestInsideSecurity(t *testing.T) {
	if onlyRoot(t) {
		t.Skip("in a user's namespace there is no other user")
	}
	i := newInside(t)
	yes, no, user := true, false, int64(1000)
	confined := shell(`grep -E '^(CapPrm|CapBnd|NoNewPrivs)' /proc/self/status | tr -d '\t'; touch /x /tmp/x 2>&1 | grep -c Read-only; echo "user $(id -u)"`)
	confined.SecurityContext = &v1.SecurityContext{RunAsUser: &user, RunAsNonRoot: &yes, AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
		Capabilities: &v1.Capabilities{Drop: []v1.Capability{"ALL"}, Add: []v1.Capability{"NET_BIND_SERVICE"}}}
	i.pod("confined", v1.PodSpec{RestartPolicy: v1.RestartPolicyNever, Containers: []v1.Container{confined}})
	i.logHas("confined", "CapPrm:0000000000000000\nCapBnd:0000000000000400\nNoNewPrivs:1\n2\nuser 1000\n")
	usual := shell(`grep -E '^(CapEff|NoNewPrivs)' /proc/self/status | tr -d '\t'; touch /x && echo written`)
	i.pod("usual", v1.PodSpec{RestartPolicy: v1.RestartPolicyNever, Containers: []v1.Container{usual}})
	i.logHas("usual", "CapEff:00000000a80425fb\nNoNewPrivs:0\nwritten\n")
	root := shell("exec sleep 1000")
	root.SecurityContext = &v1.SecurityContext{RunAsNonRoot: &yes}
	i.pod("root", v1.PodSpec{Containers: []v1.Container{root}})
	i.eventually("root refused", func() (bool, string) {
		p := i.getPod("root")
		if len(p.Status.ContainerStatuses) == 0 || p.Status.ContainerStatuses[0].State.Waiting == nil {
			return false, fmt.Sprintf("%+v", p.Status)
		}
		w := p.Status.ContainerStatuses[0].State.Waiting
		return w.Message == "container has runAsNonRoot and image will run as root", w.Message
	})
}
