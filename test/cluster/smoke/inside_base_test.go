package smoke

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/gateway-api/conformance"
	"sigs.k8s.io/gateway-api/conformance/utils/kubernetes"
	"sigs.k8s.io/gateway-api/pkg/consts"

	"rauta.io/cluster/internal/manifests"
)

const (
	basePods  = 23 // what the suite's base manifests add up to
	baseZones = 3
	crdCount  = 13 // of the experimental channel
	dnsPort   = "53"
)

// TestInsideBase is what the conformance suite does before its first test: the CRDs are there, the base
// manifests are applied, the Secrets that they mount come only afterwards, all pods become ready.
func TestInsideBase(t *testing.T) {
	i := newInside(t)
	i.crds()
	text, err := fs.ReadFile(conformance.Manifests, "base/manifests.yaml")
	must(t, err)
	base := strings.ReplaceAll(string(text), "{GATEWAY_CLASS_NAME}", "nobody")
	file := filepath.Join(t.TempDir(), "base.yaml")
	must(t, os.WriteFile(file, []byte(base), 0o600))
	_, err = manifests.Apply(i.ctx, i.config, []string{file})
	must(t, err)
	i.mounted(base)

	var pods []v1.Pod
	i.eventually("the base manifests' pods ready", func() (bool, string) {
		pods = nil
		waiting := ""
		l, err := i.client.CoreV1().Pods("").List(i.ctx, metav1.ListOptions{})
		must(t, err)
		for _, p := range l.Items {
			if !strings.HasPrefix(p.Namespace, "gateway-conformance-") {
				continue
			}
			pods = append(pods, p)
			if !ready(&p) {
				waiting += p.Name + " "
			}
		}
		return len(pods) == basePods && waiting == "", waiting
	})
	i.answers(pods)
	i.zones()
}

func (i *inside) crds() {
	dyn, err := dynamic.NewForConfig(i.config)
	must(i.T, err)
	l, err := dyn.Resource(crdResource).List(i.ctx, metav1.ListOptions{})
	must(i.T, err)
	n := 0
	for _, c := range l.Items {
		if c.GetAnnotations()[consts.BundleVersionAnnotation] == consts.BundleVersion {
			n++
		}
	}
	if n != crdCount {
		i.Errorf("%d CRDs of Gateway API %s, want %d", n, consts.BundleVersion, crdCount)
	}
}

// mounted makes the Secrets and ConfigMaps that Deployments of the manifests mount and that are not
// among them, as the suite does.
func (i *inside) mounted(base string) {
	d := yaml.NewYAMLOrJSONDecoder(strings.NewReader(base), 4096)
	for {
		var o appsv1.Deployment
		if err := d.Decode(&o); err != nil {
			return
		}
		if o.Kind != "Deployment" {
			continue
		}
		for _, v := range o.Spec.Template.Spec.Volumes {
			var obj client.Object
			switch {
			case v.Secret != nil:
				obj = kubernetes.MustCreateSelfSignedCertSecret(i.T, o.Namespace, v.Secret.SecretName, []string{"*"})
			case v.ConfigMap != nil:
				cm, _, _ := kubernetes.MustCreateCACertConfigMap(i.T, o.Namespace, v.ConfigMap.Name)
				obj = cm
			}
			switch obj := obj.(type) {
			case *v1.Secret:
				_, err := i.client.CoreV1().Secrets(o.Namespace).Create(i.ctx, obj, metav1.CreateOptions{})
				must(i.T, ifNew(err))
			case *v1.ConfigMap:
				_, err := i.client.CoreV1().ConfigMaps(o.Namespace).Create(i.ctx, obj, metav1.CreateOptions{})
				must(i.T, ifNew(err))
			}
		}
	}
}

// answers asks the two kinds of programs that play images: an echo server and the DNS server.
func (i *inside) answers(pods []v1.Pod) {
	echo, name := false, false
	for _, p := range pods {
		switch {
		case strings.HasPrefix(p.Name, "infra-backend-v1-"):
			body, err := get("http://" + net.JoinHostPort(p.Status.PodIP, "3000") + "/hello")
			must(i.T, err)
			var got struct{ Path, Pod, Namespace string }
			decode(i.T, body, &got)
			if got.Path != "/hello" || got.Pod != p.Name || got.Namespace != p.Namespace {
				i.Errorf("the echo server of %s answered %s", p.Name, body)
			}
			echo = true
		case strings.HasPrefix(p.Name, "coredns-"):
			m := new(dns.Msg)
			m.SetQuestion("foo.bar.com.", dns.TypeA)
			c := dns.Client{Timeout: 2 * time.Second}
			r, _, err := c.Exchange(m, net.JoinHostPort(p.Status.PodIP, dnsPort))
			must(i.T, err)
			if r.Rcode != dns.RcodeSuccess || len(r.Extra) != 2 {
				i.Errorf("the DNS server answered %v", r)
			}
			name = true
		}
	}
	if !echo || !name {
		i.Errorf("asked the echo server: %v, the DNS server: %v", echo, name)
	}
}

// zones checks that endpoints of one Service lie in several zones, and that an endpoint's zone is the
// one of its node.
func (i *inside) zones() {
	nodes, err := i.client.CoreV1().Nodes().List(i.ctx, metav1.ListOptions{})
	must(i.T, err)
	zoneOf := map[string]string{}
	for _, n := range nodes.Items {
		zoneOf[n.Name] = n.Labels[v1.LabelTopologyZone]
		if len(n.Status.Addresses) == 0 || n.Status.Addresses[0].Type != v1.NodeInternalIP {
			i.Errorf("node %s has addresses %v", n.Name, n.Status.Addresses)
		}
	}
	if len(zoneOf) != baseZones {
		i.Errorf("nodes and zones: %v", zoneOf)
	}
	i.eventually("endpoints in two zones", func() (bool, string) {
		slices, err := i.client.DiscoveryV1().EndpointSlices("gateway-conformance-infra").List(i.ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=infra-backend-v1"})
		must(i.T, err)
		seen := map[string]bool{}
		for _, s := range slices.Items {
			for _, e := range s.Endpoints {
				if e.Zone == nil || e.NodeName == nil || zoneOf[*e.NodeName] != *e.Zone {
					return false, e.String()
				}
				seen[*e.Zone] = true
			}
		}
		return len(seen) == 2, "too few"
	})
}
