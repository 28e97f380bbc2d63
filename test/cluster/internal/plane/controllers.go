package plane

import (
	"context"
	"fmt"
	"os"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/certificates/rootcacertpublisher"
	"k8s.io/kubernetes/pkg/controller/clusterroleaggregation"
	"k8s.io/kubernetes/pkg/controller/daemon"
	"k8s.io/kubernetes/pkg/controller/deployment"
	"k8s.io/kubernetes/pkg/controller/endpointslice"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
	"k8s.io/kubernetes/pkg/controller/namespace"
	"k8s.io/kubernetes/pkg/controller/replicaset"
	"k8s.io/kubernetes/pkg/controller/serviceaccount"
)

const (
	workers           = 4
	maxEndpoints      = 100 // in one EndpointSlice, as in a stock cluster
	namespaceResync   = 5 * time.Minute
	collectorInterval = 5 * time.Second // how soon the garbage collector learns of a new CRD
	failedPodBackoff  = time.Second     // DaemonSet: first pause before a failed pod is replaced
	failedPodLimit    = 15 * time.Minute
)

// runner is what every controller offers, once built.
type runner func(ctx context.Context)

// StartControllers starts what Deployments, DaemonSets, Services, namespaces, service accounts,
// aggregated roles and deletion need. Each is the stock constructor and Run: the controller
// manager's own main package would add flags and nothing else.
func StartControllers(ctx context.Context, cfg *rest.Config, caFile string) error {
	client, err := clientset.NewForConfig(cfg)
	if err != nil {
		return err
	}
	meta, err := metadata.NewForConfig(cfg)
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return err
	}
	f := informers.NewSharedInformerFactory(client, 0)
	mf := metadatainformer.NewSharedInformerFactory(meta, 0)
	apps, core, rbac := f.Apps().V1(), f.Core().V1(), f.Rbac().V1()
	var all []runner
	add := func(r runner) { all = append(all, r) }

	dc, err := deployment.NewDeploymentController(ctx, apps.Deployments(), apps.ReplicaSets(), core.Pods(), client)
	if err != nil {
		return fmt.Errorf("deployments: %w", err)
	}
	add(func(ctx context.Context) { dc.Run(ctx, workers) })

	rs := replicaset.NewReplicaSetController(ctx, apps.ReplicaSets(), core.Pods(), client, replicaset.BurstReplicas)
	add(func(ctx context.Context) { rs.Run(ctx, workers) })

	ds, err := daemon.NewDaemonSetsController(ctx, apps.DaemonSets(), apps.ControllerRevisions(), core.Pods(), core.Nodes(), client,
		flowcontrol.NewBackOff(failedPodBackoff, failedPodLimit))
	if err != nil {
		return fmt.Errorf("daemon sets: %w", err)
	}
	add(func(ctx context.Context) { ds.Run(ctx, workers) })

	es := endpointslice.NewController(ctx, core.Pods(), core.Services(), core.Nodes(), f.Discovery().V1().EndpointSlices(), maxEndpoints, client, 0)
	add(func(ctx context.Context) { es.Run(ctx, workers) })

	ns := namespace.NewNamespaceController(ctx, client, meta, client.Discovery().ServerPreferredNamespacedResources,
		core.Namespaces(), namespaceResync, v1.FinalizerKubernetes)
	add(func(ctx context.Context) { ns.Run(ctx, workers) })

	sa, err := serviceaccount.NewServiceAccountsController(klog.FromContext(ctx), core.ServiceAccounts(), core.Namespaces(), client,
		serviceaccount.DefaultServiceAccountsControllerOptions())
	if err != nil {
		return fmt.Errorf("service accounts: %w", err)
	}
	add(func(ctx context.Context) { sa.Run(ctx, 1) })

	publisher, err := rootcacertpublisher.NewPublisher(core.ConfigMaps(), core.Namespaces(), client, ca)
	if err != nil {
		return fmt.Errorf("root certificate publisher: %w", err)
	}
	add(func(ctx context.Context) { publisher.Run(ctx, 1) })

	roles := clusterroleaggregation.NewClusterRoleAggregation(rbac.ClusterRoles(), client.RbacV1())
	add(func(ctx context.Context) { roles.Run(ctx, 1) })

	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery()))
	informersStarted := make(chan struct{})
	gc, err := garbagecollector.NewGarbageCollector(ctx, client, meta, mapper, garbagecollector.DefaultIgnoredResources(),
		informerfactory.NewInformerFactory(f, mf), informersStarted)
	if err != nil {
		return fmt.Errorf("garbage collector: %w", err)
	}
	add(func(ctx context.Context) { gc.Run(ctx, workers, collectorInterval) })
	add(func(ctx context.Context) { gc.Sync(ctx, client.Discovery(), collectorInterval) })

	f.Start(ctx.Done())
	mf.Start(ctx.Done())
	close(informersStarted)
	for _, r := range all {
		go r(ctx)
	}
	return nil
}
