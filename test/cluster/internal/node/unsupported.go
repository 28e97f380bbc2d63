package node

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
)

// unsupported says what a pod asks for that cannot be had here, or nothing. A pod that would not
// behave as on a real node is refused in plain words rather than run halfway.
func unsupported(o *v1.Pod) string {
	for _, list := range [][]v1.Container{o.Spec.InitContainers, o.Spec.Containers} {
		for i := range list {
			c := &list[i]
			for kind, p := range map[string]*v1.Probe{"liveness": c.LivenessProbe, "readiness": c.ReadinessProbe, "startup": c.StartupProbe} {
				if p != nil && p.HTTPGet == nil && p.TCPSocket == nil {
					return fmt.Sprintf("container %s: the %s probe is of a kind not offered here (httpGet and tcpSocket are; exec and grpc are not)", c.Name, kind)
				}
			}
			if l := c.Lifecycle; l != nil && (l.PostStart != nil || l.PreStop != nil && l.PreStop.Sleep == nil) {
				return fmt.Sprintf("container %s: of the lifecycle hooks only preStop with sleep is offered here", c.Name)
			}
			for _, port := range c.Ports {
				if port.HostPort != 0 && !o.Spec.HostNetwork {
					return fmt.Sprintf("container %s: hostPort %d is not offered here; use hostNetwork or the pod's own address", c.Name, port.HostPort)
				}
			}
		}
	}
	if s := o.Spec.SecurityContext; s != nil {
		for _, c := range s.Sysctls {
			if c.Name != "net.ipv4.ip_unprivileged_port_start" || c.Value != "0" || o.Spec.HostNetwork {
				return fmt.Sprintf("sysctl %s=%s is not offered here (net.ipv4.ip_unprivileged_port_start=0 is, in a pod's own network)", c.Name, c.Value)
			}
		}
	}
	for i := range o.Spec.Volumes {
		v := &o.Spec.Volumes[i]
		switch {
		case v.EmptyDir != nil, v.Secret != nil, v.ConfigMap != nil, v.DownwardAPI != nil, v.HostPath != nil:
		case v.Projected != nil:
			for _, s := range v.Projected.Sources {
				if s.Secret == nil && s.ConfigMap == nil && s.DownwardAPI == nil && s.ServiceAccountToken == nil {
					return fmt.Sprintf("volume %s: a projected source is of a kind not offered here", v.Name)
				}
			}
		default:
			return fmt.Sprintf("volume %s: only emptyDir, secret, configMap, projected, downwardAPI and hostPath are offered here", v.Name)
		}
	}
	return ""
}
