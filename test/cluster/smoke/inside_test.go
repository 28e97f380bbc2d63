package smoke

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// What the cluster tells every command inside.
const (
	dirEnv    = "RAUTA_CLUSTER_DIR"
	binEnv    = "RAUTA_CLUSTER_BIN"
	directEnv = "RAUTA_CLUSTER_DIRECT_KUBECONFIG"

	patience = 60 * time.Second
	poll     = 50 * time.Millisecond
	image    = "example.test/shell:1" // mapped to nothing: pods give a command of the machine
)

// inside is what a test inside a cluster works with: its own namespace, removed at the end.
type inside struct {
	*testing.T
	ctx    context.Context
	config *rest.Config // through the proxy
	client clientset.Interface
	ns     string
}

func newInside(t *testing.T) *inside {
	t.Helper()
	if os.Getenv(dirEnv) == "" {
		t.Fatal("this test runs inside a cluster: TestCluster starts it there")
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	must(t, err)
	config.QPS = -1
	client, err := clientset.NewForConfig(config)
	must(t, err)
	i := &inside{T: t, ctx: context.Background(), config: config, client: client}
	ns, err := client.CoreV1().Namespaces().Create(i.ctx, &v1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "smoke-"}}, metav1.CreateOptions{})
	must(t, err)
	i.ns = ns.Name
	t.Cleanup(func() { must(t, client.CoreV1().Namespaces().Delete(i.ctx, i.ns, metav1.DeleteOptions{})) })
	return i
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until f says that it is so; f's last words are told when it never does.
func (i *inside) eventually(what string, f func() (bool, string)) {
	i.Helper()
	said := ""
	err := wait.PollUntilContextTimeout(i.ctx, poll, patience, true, func(context.Context) (bool, error) {
		ok, s := f()
		said = s
		return ok, nil
	})
	if err != nil {
		i.Fatalf("%s: not within %s: %s", what, patience, said)
	}
}

// shell is a container that runs a script.
func shell(script string) v1.Container {
	return v1.Container{Name: "main", Image: image, Command: []string{"sh", "-c", script}}
}

func template(labels map[string]string, c ...v1.Container) v1.PodTemplateSpec {
	grace := int64(5)
	return v1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: v1.PodSpec{Containers: c, TerminationGracePeriodSeconds: &grace}}
}

func (i *inside) deployment(name string, replicas int32, c ...v1.Container) *appsv1.Deployment {
	i.Helper()
	labels := map[string]string{"app": name}
	d, err := i.client.AppsV1().Deployments(i.ns).Create(i.ctx, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template(labels, c...)}}, metav1.CreateOptions{})
	must(i.T, err)
	return d
}

func (i *inside) pod(name string, spec v1.PodSpec) *v1.Pod {
	i.Helper()
	p, err := i.client.CoreV1().Pods(i.ns).Create(i.ctx, &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}}, Spec: spec}, metav1.CreateOptions{})
	must(i.T, err)
	return p
}

func (i *inside) getPod(name string) *v1.Pod {
	i.Helper()
	p, err := i.client.CoreV1().Pods(i.ns).Get(i.ctx, name, metav1.GetOptions{})
	must(i.T, err)
	return p
}

func (i *inside) pods(app string) []v1.Pod {
	i.Helper()
	l, err := i.client.CoreV1().Pods(i.ns).List(i.ctx, metav1.ListOptions{LabelSelector: "app=" + app})
	must(i.T, err)
	return l.Items
}

func ready(p *v1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == v1.PodReady {
			return c.Status == v1.ConditionTrue
		}
	}
	return false
}

// settled waits until an app has exactly n pods, all of them ready, and returns them.
func (i *inside) settled(app string, n int) []v1.Pod {
	i.Helper()
	var pods []v1.Pod
	i.eventually(fmt.Sprintf("%d ready pods of %s", n, app), func() (bool, string) {
		pods = i.pods(app)
		ok, said := 0, ""
		for k := range pods {
			p := &pods[k]
			if ready(p) && p.DeletionTimestamp == nil {
				ok++
			} else {
				said += fmt.Sprintf("%s %s %+v; ", p.Name, p.Status.Phase, p.Status.ContainerStatuses)
			}
		}
		return ok == n && len(pods) == n, fmt.Sprintf("%d of %d: %s", ok, len(pods), said)
	})
	return pods
}

func (i *inside) logs(pod string, o *v1.PodLogOptions) string {
	i.Helper()
	b, err := i.client.CoreV1().Pods(i.ns).GetLogs(pod, o).DoRaw(i.ctx)
	must(i.T, err)
	return string(b)
}

func (i *inside) logHas(pod, want string) {
	i.Helper()
	i.eventually(fmt.Sprintf("%q in the log of %s", want, pod), func() (bool, string) {
		b, err := i.client.CoreV1().Pods(i.ns).GetLogs(pod, &v1.PodLogOptions{}).DoRaw(i.ctx)
		return strings.Contains(string(b), want), fmt.Sprintf("%v: %s", err, b) // it may not have started yet
	})
}

// cluster runs the cluster's own program, as a test script would.
func (i *inside) cluster(args ...string) string {
	i.Helper()
	out, err := exec.Command(os.Getenv(binEnv), args...).Output()
	if e, ok := err.(*exec.ExitError); ok {
		i.Fatalf("cluster %v: %v: %s", args, err, e.Stderr)
	}
	must(i.T, err)
	return string(out)
}

// get fetches a URL, for pods that answer over HTTP.
func get(url string) (string, error) {
	c := http.Client{Timeout: 2 * time.Second}
	resp, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

func decode(t *testing.T, s string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(s), v); err != nil {
		t.Fatalf("%v: %s", err, s)
	}
}
