package node

import (
	"context"
	"fmt"
	"sort"
	"strconv"
	"strings"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiresource "k8s.io/kubernetes/pkg/api/v1/resource"
	"k8s.io/kubernetes/pkg/fieldpath"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"

	"rauta.io/cluster/internal/network"
)

// environment keeps variables in the order they were first set.
type environment struct {
	vars  map[string]string
	order []string
}

func (e *environment) set(k, v string) {
	if _, ok := e.vars[k]; !ok {
		e.order = append(e.order, k)
	}
	e.vars[k] = v
}

func (e *environment) list() (out []string) {
	for _, k := range e.order {
		out = append(out, k+"="+e.vars[k])
	}
	return out
}

func (p *pod) environment(ctx context.Context, c *v1.Container, img Image, own *ociImage) (*environment, error) {
	env := &environment{vars: map[string]string{}}
	env.set("PATH", defaultPath)
	env.set("HOSTNAME", p.obj.Name)
	env.set("HOME", "/")
	// The Service address of the API server is routed nowhere here: pods are told its real one.
	env.set("KUBERNETES_SERVICE_HOST", network.APIHost)
	env.set("KUBERNETES_SERVICE_PORT", strconv.Itoa(p.k.APIPort))
	for k, v := range img.Env {
		env.set(k, v)
	}
	if own != nil {
		for _, kv := range own.env {
			k, v, _ := strings.Cut(kv, "=")
			env.set(k, v)
		}
	}
	for _, f := range c.EnvFrom {
		data, err := p.envFrom(ctx, f)
		if err != nil {
			return nil, err
		}
		keys := make([]string, 0, len(data))
		for k := range data {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for _, k := range keys {
			env.set(f.Prefix+k, data[k])
		}
	}
	for _, e := range c.Env {
		if e.ValueFrom == nil {
			env.set(e.Name, expansion.Expand(e.Value, expansion.MappingFuncFor(env.vars)))
			continue
		}
		v, err := p.valueFrom(ctx, c, e.ValueFrom)
		if err != nil {
			return nil, fmt.Errorf("env %s: %w", e.Name, err)
		}
		if v != nil {
			env.set(e.Name, *v)
		}
	}
	return env, nil
}

func (p *pod) envFrom(ctx context.Context, f v1.EnvFromSource) (map[string]string, error) {
	switch {
	case f.ConfigMapRef != nil:
		data, err := p.configMap(ctx, f.ConfigMapRef.Name, f.ConfigMapRef.Optional)
		return text(data), err
	case f.SecretRef != nil:
		data, err := p.secret(ctx, f.SecretRef.Name, f.SecretRef.Optional)
		return text(data), err
	}
	return nil, nil
}

func text(in map[string][]byte) map[string]string {
	out := map[string]string{}
	for k, v := range in {
		out[k] = string(v)
	}
	return out
}

func (p *pod) valueFrom(ctx context.Context, c *v1.Container, s *v1.EnvVarSource) (*string, error) {
	switch {
	case s.FieldRef != nil:
		v, err := p.field(s.FieldRef.FieldPath)
		return &v, err
	case s.ResourceFieldRef != nil:
		v, err := apiresource.ExtractContainerResourceValue(s.ResourceFieldRef, c)
		return &v, err
	case s.ConfigMapKeyRef != nil:
		data, err := p.configMap(ctx, s.ConfigMapKeyRef.Name, s.ConfigMapKeyRef.Optional)
		return key(data, s.ConfigMapKeyRef.Key, s.ConfigMapKeyRef.Optional, err)
	case s.SecretKeyRef != nil:
		data, err := p.secret(ctx, s.SecretKeyRef.Name, s.SecretKeyRef.Optional)
		return key(data, s.SecretKeyRef.Key, s.SecretKeyRef.Optional, err)
	}
	return nil, fmt.Errorf("source of a kind not offered here")
}

func key(data map[string][]byte, name string, optional *bool, err error) (*string, error) {
	if err != nil {
		return nil, err
	}
	if b, ok := data[name]; ok {
		v := string(b)
		return &v, nil
	}
	if optional != nil && *optional {
		return nil, nil
	}
	return nil, fmt.Errorf("no key %q", name)
}

// secret reads a Secret's contents; an optional one may be missing.
func (p *pod) secret(ctx context.Context, name string, optional *bool) (map[string][]byte, error) {
	s, err := p.k.Client.CoreV1().Secrets(p.obj.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, missing(err, optional)
	}
	return s.Data, nil
}

func (p *pod) configMap(ctx context.Context, name string, optional *bool) (map[string][]byte, error) {
	m, err := p.k.Client.CoreV1().ConfigMaps(p.obj.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, missing(err, optional)
	}
	data := map[string][]byte{}
	for k, v := range m.Data {
		data[k] = []byte(v)
	}
	for k, v := range m.BinaryData {
		data[k] = v
	}
	return data, nil
}

func missing(err error, optional *bool) error {
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return nil
	}
	return err
}

// field is the downward API.
func (p *pod) field(path string) (string, error) {
	switch path {
	case "spec.nodeName":
		return p.obj.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return p.obj.Spec.ServiceAccountName, nil
	case "status.podIP", "status.podIPs":
		return p.ip.String(), nil
	case "status.hostIP", "status.hostIPs":
		return p.hostIP, nil
	}
	return fieldpath.ExtractFieldPathAsString(p.current(), path)
}
