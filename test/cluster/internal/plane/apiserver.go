package plane

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"

	"rauta.io/cluster/internal/network"
	"rauta.io/cluster/internal/pki"
)

const (
	apiStart = 120 * time.Second
	apiPoll  = 100 * time.Millisecond
	eventTTL = "1h"

	// AuditLog is the file in the cluster's folder that holds every API write, one JSON object a line.
	AuditLog = "audit.log"
)

// auditPolicy records who wrote what, and nothing of the contents. The server's own metrics have no
// label for the user agent, so this is where writes are counted from.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
- level: None
`

// RunAPIServer runs the stock kube-apiserver command until ctx ends.
func RunAPIServer(ctx context.Context, dir string, p *pki.PKI, verbosity int) error {
	policy := filepath.Join(dir, "audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o644); err != nil {
		return err
	}
	audit := filepath.Join(dir, AuditLog)
	if err := os.WriteFile(audit, nil, 0o644); err != nil { // each start counts anew
		return err
	}
	cmd := app.NewAPIServerCommand()
	cmd.SetArgs([]string{
		"--etcd-servers=http://" + network.EtcdAddr,
		"--bind-address=0.0.0.0",
		"--advertise-address=" + network.APIHost,
		"--secure-port=" + strconv.Itoa(network.APIPort),
		"--tls-cert-file=" + p.Path("apiserver.crt"),
		"--tls-private-key-file=" + p.Path("apiserver.key"),
		"--client-ca-file=" + p.Path("ca.crt"),
		// The fault-injecting proxy says by these headers whom it speaks for.
		"--requestheader-client-ca-file=" + p.Path("ca.crt"),
		"--requestheader-allowed-names=" + pki.FrontProxyName,
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + p.Path("sa.pub"),
		"--service-account-signing-key-file=" + p.Path("sa.key"),
		"--authorization-mode=RBAC",
		"--service-cluster-ip-range=" + network.ServiceCIDR,
		"--endpoint-reconciler-type=none",
		"--kubelet-preferred-address-types=InternalIP",
		"--allow-privileged=true",
		"--enable-priority-and-fairness=false",
		"--profiling=false",
		"--cert-dir=" + filepath.Join(dir, "apiserver-certs"),
		"--event-ttl=" + eventTTL,
		"--audit-policy-file=" + policy,
		"--audit-log-path=" + audit,
		"--audit-log-mode=blocking", // no batch: a write that is over is in the file
		"--v=" + strconv.Itoa(verbosity),
	})
	cmd.SilenceErrors = true
	return cmd.ExecuteContext(ctx)
}

// WaitReady waits until the API server answers that it is ready.
func WaitReady(ctx context.Context, cfg *rest.Config, done <-chan error) error {
	c, err := clientset.NewForConfig(cfg)
	if err != nil {
		return err
	}
	deadline := time.After(apiStart)
	for {
		var code int
		r := c.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx)
		r.StatusCode(&code)
		if code == 200 {
			return nil
		}
		select {
		case err := <-done:
			return fmt.Errorf("ended at its start: %w", err)
		case <-deadline:
			return fmt.Errorf("not ready after %s: %w", apiStart, r.Error())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(apiPoll):
		}
	}
}
