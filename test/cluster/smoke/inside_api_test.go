package smoke

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"
)

// TestInsideLease lets two clients elect a leader by a Lease: one leads, and when it lets go the other does.
func TestInsideLease(t *testing.T) {
	i := newInside(t)
	leads := make(chan string, 2)
	elect := func(ctx context.Context, id string) {
		lock, err := resourcelock.New(resourcelock.LeasesResourceLock, i.ns, "leader", i.client.CoreV1(), i.client.CoordinationV1(), resourcelock.ResourceLockConfig{Identity: id})
		if err != nil {
			t.Error(err)
			return
		}
		leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{Lock: lock, ReleaseOnCancel: true,
			LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 200 * time.Millisecond,
			Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(context.Context) { leads <- id }, OnStoppedLeading: func() {}}})
	}
	leader := func() string {
		select {
		case id := <-leads:
			return id
		case <-time.After(patience):
			t.Fatal("nobody leads")
			return ""
		}
	}
	first, stopFirst := context.WithCancel(i.ctx)
	second, stopSecond := context.WithCancel(i.ctx)
	defer stopSecond()
	go elect(first, "first")
	if id := leader(); id != "first" {
		t.Fatalf("%s leads", id)
	}
	go elect(second, "second")
	select {
	case id := <-leads:
		t.Fatalf("two leaders: %s as well", id)
	case <-time.After(time.Second):
	}
	stopFirst()
	if id := leader(); id != "second" {
		t.Errorf("%s leads", id)
	}
}

// TestInsideEvents records an event as controllers do, twice: the second raises its count.
func TestInsideEvents(t *testing.T) {
	i := newInside(t)
	b := record.NewBroadcaster()
	defer b.Shutdown()
	b.StartRecordingToSink(&typedcore.EventSinkImpl{Interface: i.client.CoreV1().Events(i.ns)})
	r := b.NewRecorder(scheme.Scheme, v1.EventSource{Component: "smoke"})
	cm, err := i.client.CoreV1().ConfigMaps(i.ns).Create(i.ctx, &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "subject"}}, metav1.CreateOptions{})
	must(t, err)
	r.Event(cm, v1.EventTypeNormal, "Tried", "it")
	r.Event(cm, v1.EventTypeNormal, "Tried", "it")
	i.eventually("an event, twice", func() (bool, string) {
		l, err := i.client.CoreV1().Events(i.ns).List(i.ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=subject"})
		must(t, err)
		return len(l.Items) == 1 && l.Items[0].Count == 2, fmt.Sprintf("%+v", l.Items)
	})
}

// TestInsideRBAC: a service account may do what its Role says and nothing else, by its token, through
// the proxy as well as directly; a pod finds such a token in its file system.
func TestInsideRBAC(t *testing.T) {
	i := newInside(t)
	_, err := i.client.CoreV1().ServiceAccounts(i.ns).Create(i.ctx, &v1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "reader"}}, metav1.CreateOptions{})
	must(t, err)
	_, err = i.client.RbacV1().Roles(i.ns).Create(i.ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "reader"},
		Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list"}}}}, metav1.CreateOptions{})
	must(t, err)
	_, err = i.client.RbacV1().RoleBindings(i.ns).Create(i.ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "reader"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "reader"}}, RoleRef: rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: "reader"}}, metav1.CreateOptions{})
	must(t, err)
	token, err := i.client.CoreV1().ServiceAccounts(i.ns).CreateToken(i.ctx, "reader", &authv1.TokenRequest{}, metav1.CreateOptions{})
	must(t, err)
	direct, err := clientcmd.BuildConfigFromFlags("", os.Getenv(directEnv))
	must(t, err)
	for name, conf := range map[string]*rest.Config{"through the proxy": i.config, "directly": direct} {
		c := rest.AnonymousClientConfig(conf)
		c.BearerToken = token.Status.Token
		client, err := clientset.NewForConfig(c)
		must(t, err)
		i.eventually(name+", pods listed", func() (bool, string) {
			_, err := client.CoreV1().Pods(i.ns).List(i.ctx, metav1.ListOptions{})
			return err == nil, fmt.Sprint(err)
		})
		if _, err := client.CoreV1().Secrets(i.ns).List(i.ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("%s, secrets: %v", name, err)
		}
		c.BearerToken = ""
		if client, err = clientset.NewForConfig(c); err != nil {
			t.Fatal(err)
		}
		if _, err := client.CoreV1().Pods(i.ns).List(i.ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("%s, nobody lists pods: %v", name, err)
		}
	}
	const dir = "/var/run/secrets/kubernetes.io/serviceaccount"
	i.pod("inpod", v1.PodSpec{ServiceAccountName: "reader", Containers: []v1.Container{
		shell(`test -s ` + dir + `/token && test -s ` + dir + `/ca.crt && echo "$(cat ` + dir + `/namespace) $KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT"; exec sleep 1000`)}})
	i.logHas("inpod", i.ns+" 10.244.0.1:6444\n")
}

// TestInsideIngress: the default class is given to an Ingress that names none, and its status can be written.
func TestInsideIngress(t *testing.T) {
	i := newInside(t)
	n := i.client.NetworkingV1()
	_, err := n.IngressClasses().Create(i.ctx, &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "smoke",
		Annotations: map[string]string{networkingv1.AnnotationIsDefaultIngressClass: "true"}}, Spec: networkingv1.IngressClassSpec{Controller: "example.test/smoke"}}, metav1.CreateOptions{})
	must(t, err)
	kind := networkingv1.PathTypePrefix
	var in *networkingv1.Ingress
	i.eventually("the default class", func() (bool, string) { // the API server learns of a class a moment later
		in, err = n.Ingresses(i.ns).Create(i.ctx, &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{GenerateName: "web-"}, Spec: networkingv1.IngressSpec{
			Rules: []networkingv1.IngressRule{{Host: "a.test", IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
				Paths: []networkingv1.HTTPIngressPath{{Path: "/", PathType: &kind, Backend: networkingv1.IngressBackend{
					Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Number: 80}}}}}}}}}}}, metav1.CreateOptions{})
		must(t, err)
		return in.Spec.IngressClassName != nil && *in.Spec.IngressClassName == "smoke", fmt.Sprint(in.Spec.IngressClassName)
	})
	in.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "10.250.0.1"}}
	in, err = n.Ingresses(i.ns).UpdateStatus(i.ctx, in, metav1.UpdateOptions{})
	must(t, err)
	if l := in.Status.LoadBalancer.Ingress; len(l) != 1 || l[0].IP != "10.250.0.1" {
		t.Errorf("status: %+v", in.Status)
	}
}

// TestInsideWrites makes a known number of writes under a name of its own and finds them counted.
func TestInsideWrites(t *testing.T) {
	i := newInside(t)
	const agent = "smoke-writer/1.0"
	conf := rest.CopyConfig(i.config)
	conf.UserAgent = agent
	client, err := clientset.NewForConfig(conf)
	must(t, err)
	maps := client.CoreV1().ConfigMaps(i.ns)
	write := func(name string) {
		m, err := maps.Create(i.ctx, &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		must(t, err)
		m.Data = map[string]string{"a": "b"}
		_, err = maps.Update(i.ctx, m, metav1.UpdateOptions{})
		must(t, err)
		_, err = maps.Update(i.ctx, m, metav1.UpdateOptions{}) // an old version by now
		if !apierrors.IsConflict(err) {
			t.Fatalf("no conflict: %v", err)
		}
		_, err = maps.List(i.ctx, metav1.ListOptions{}) // no write
		must(t, err)
	}
	type report struct {
		Until   time.Time
		Clients map[string]struct {
			Writes int
			Failed map[string]int
			By     map[string]map[string]int
		}
	}
	counted := func(want int, args ...string) report {
		var r report
		i.eventually(fmt.Sprintf("%d writes counted", want), func() (bool, string) {
			out := i.cluster(append([]string{"writes"}, args...)...)
			r = report{}
			decode(t, out, &r)
			c := r.Clients[agent]
			return c.Writes == want && c.Failed["409"] == want/2 && c.By["configmaps"]["create"] == want/2 && c.By["configmaps"]["update"] == want/2, out
		})
		return r
	}
	write("one")
	write("two")
	r := counted(4)
	write("three")
	counted(6)
	counted(2, "--since", r.Until.Format(time.RFC3339Nano))
}
