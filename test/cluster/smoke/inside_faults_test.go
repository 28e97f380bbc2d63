package smoke

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	watcherTimeout = 2 * time.Second // against silence; a watch may take no longer either, and is begun again
	quiet          = 3 * time.Second // how long nothing may be heard in total silence
)

// watch starts a small client: it keeps a copy of the namespace's ConfigMaps, through the proxy.
func (i *inside) watch(agent string) cache.Store {
	i.Helper()
	conf := rest.CopyConfig(i.config)
	conf.UserAgent, conf.Timeout = agent, watcherTimeout
	client, err := clientset.NewForConfig(conf)
	must(i.T, err)
	ctx, stop := context.WithCancel(i.ctx)
	i.Cleanup(stop)
	f := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(i.ns))
	inf := f.Core().V1().ConfigMaps().Informer()
	f.Start(ctx.Done())
	return inf.GetStore()
}

// write makes a ConfigMap past the proxy: the writer is not to meet the faults.
func (i *inside) write(client clientset.Interface) string {
	i.Helper()
	m, err := client.CoreV1().ConfigMaps(i.ns).Create(i.ctx, &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "m-"}}, metav1.CreateOptions{})
	must(i.T, err)
	return i.ns + "/" + m.Name
}

func has(t *testing.T, s cache.Store, key string) bool {
	t.Helper()
	_, ok, err := s.GetByKey(key)
	must(t, err)
	return ok
}

// Each fault, and how often it is to happen. A client of its own meets it.
var faultCases = []struct{ name, verbs, fault string }{
	{"watches cut after two events", `"watch"`, `"times":3,"cut":{"events":2}`},
	{"watches ended in order after a second", `"watch"`, `"times":2,"cut":{"after":"1s","how":"end"}`},
	{"429 with a time to wait", `"list","watch"`, `"times":2,"status":429,"retryAfter":1`},
	{"half of all failing", `"list","watch"`, `"share":0.5,"times":1,"status":500`},
	{"410 in a watch that resumes", `"watch"`, `"times":2,"expired":"event"`},
	{"410 as a status", `"watch"`, `"times":2,"expired":"status"`},
	{"truncated bodies", `"list","watch"`, `"times":3,"cut":{"bytes":10}`},
	{"bodies that end too early, in order", `"list","watch"`, `"times":3,"cut":{"bytes":10,"how":"end"}`},
	{"watches that go silent", `"watch"`, `"times":2,"cut":{"bytes":0,"how":"hang"}`},
	{"delay", `"list","watch"`, `"times":3,"delay":"300ms"`},
	{"silence", `"list","watch"`, `"times":2,"silence":true`},
}

type faultReport struct {
	Rules []struct{ Hit, Times int }
}

// TestInsideFaults injects each fault, sees it happen, and sees a client survive it: after it, the
// client's copy holds what the API server holds.
func TestInsideFaults(t *testing.T) {
	i := newInside(t)
	conf, err := clientcmd.BuildConfigFromFlags("", os.Getenv(directEnv))
	must(t, err)
	conf.QPS = -1
	direct, err := clientset.NewForConfig(conf)
	must(t, err)
	var rules []string
	agent := func(n int) string { return fmt.Sprintf("smoke-watcher-%d/", n) }
	for n, c := range faultCases {
		rules = append(rules, fmt.Sprintf(`{"match":{"userAgent":%q,"resources":["configmaps"],"verbs":[%s]},%s}`, agent(n), c.verbs, c.fault))
	}
	i.cluster("faults", "set", `{"rules":[`+strings.Join(rules, ",")+`]}`)
	t.Run("each", func(t *testing.T) {
		for n, c := range faultCases {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				i := &inside{T: t, ctx: i.ctx, config: i.config, client: i.client, ns: i.ns}
				copied := i.watch(agent(n))
				i.eventually("the fault met, often enough, and survived", func() (bool, string) {
					last := i.write(direct)
					time.Sleep(4 * poll)
					said := i.cluster("faults", "get")
					var r faultReport
					must(t, json.Unmarshal([]byte(said), &r))
					rule := r.Rules[n]
					return rule.Hit == rule.Times && has(t, copied, last), said
				})
			})
		}
	})
	i.cluster("faults", "clear")

	t.Run("total silence", func(t *testing.T) {
		i := &inside{T: t, ctx: i.ctx, config: i.config, client: i.client, ns: i.ns}
		copied := i.watch("smoke-silenced/")
		before := i.write(direct)
		i.eventually("the first object seen", func() (bool, string) { return has(t, copied, before), "" })
		i.cluster("faults", "set", `{"silent":true}`)
		during := i.write(direct)
		time.Sleep(quiet)
		if has(t, copied, during) {
			t.Error("an event passed in total silence")
		}
		i.cluster("faults", "clear")
		i.eventually("what happened meanwhile seen", func() (bool, string) { return has(t, copied, during), "" })
	})
}
