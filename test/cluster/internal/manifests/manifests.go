// Package manifests applies YAML files to the cluster, as kubectl apply --server-side would.
package manifests

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

const (
	fieldManager = "cluster"
	crdKind      = "CustomResourceDefinition"
	// Checking a large CRD costs the API server up to a second of CPU: they go in side by side.
	crdsAtOnce      = 4
	discoveryWait   = 15 * time.Second // a kind that a CRD has just brought appears a little later
	establishedWait = 60 * time.Second
	poll            = 50 * time.Millisecond
	yamlBuffer      = 4096
)

var crdResource = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

type applier struct {
	dyn    dynamic.Interface
	mapper *restmapper.DeferredDiscoveryRESTMapper
}

// Apply applies all documents of the given files and folders and waits until every
// CustomResourceDefinition among them is established. It returns how many there were.
func Apply(ctx context.Context, cfg *rest.Config, paths []string) (int, error) {
	objects, err := read(paths)
	if err != nil {
		return 0, err
	}
	dyn, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return 0, err
	}
	disc, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return 0, err
	}
	a := &applier{dyn, restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(disc))}
	var crds []string
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(crdsAtOnce)
	for _, u := range objects {
		if u.GetKind() != crdKind {
			continue
		}
		crds = append(crds, u.GetName())
		group.Go(func() error {
			_, err := dyn.Resource(crdResource).Apply(gctx, u.GetName(), u, options())
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	for _, name := range crds {
		if err := a.waitEstablished(ctx, name); err != nil {
			return 0, err
		}
	}
	for _, u := range objects {
		if u.GetKind() != crdKind {
			if err := a.apply(ctx, u); err != nil {
				return 0, fmt.Errorf("%s %s: %w", u.GetKind(), u.GetName(), err)
			}
		}
	}
	return len(objects), nil
}

func options() metav1.ApplyOptions {
	return metav1.ApplyOptions{FieldManager: fieldManager, Force: true}
}

func (a *applier) apply(ctx context.Context, u *unstructured.Unstructured) error {
	gvk := u.GroupVersionKind()
	var last error
	err := wait.PollUntilContextTimeout(ctx, poll, discoveryWait, true, func(ctx context.Context) (bool, error) {
		var m *meta.RESTMapping
		if m, last = a.mapper.RESTMapping(gvk.GroupKind(), gvk.Version); last != nil {
			a.mapper.Reset()
			return false, unless(meta.IsNoMatchError(last), last)
		}
		var ri dynamic.ResourceInterface = a.dyn.Resource(m.Resource)
		if m.Scope.Name() == meta.RESTScopeNameNamespace {
			ns := u.GetNamespace()
			if ns == "" {
				ns = metav1.NamespaceDefault
			}
			ri = a.dyn.Resource(m.Resource).Namespace(ns)
		}
		if _, last = ri.Apply(ctx, u.GetName(), u, options()); last != nil {
			return false, unless(apierrors.IsNotFound(last), last)
		}
		return true, nil
	})
	if wait.Interrupted(err) && last != nil {
		return last
	}
	return err
}

func unless(again bool, err error) error {
	if again {
		return nil
	}
	return err
}

func (a *applier) waitEstablished(ctx context.Context, name string) error {
	err := wait.PollUntilContextTimeout(ctx, poll, establishedWait, true, func(ctx context.Context) (bool, error) {
		u, err := a.dyn.Resource(crdResource).Get(ctx, name, metav1.GetOptions{})
		return err == nil && established(u), err
	})
	if err != nil {
		return fmt.Errorf("CRD %s is not established: %w", name, err)
	}
	return nil
}

func established(u *unstructured.Unstructured) bool {
	conds, _, err := unstructured.NestedSlice(u.Object, "status", "conditions")
	if err != nil {
		return false
	}
	for _, c := range conds {
		if m, ok := c.(map[string]any); ok && m["type"] == "Established" && m["status"] == "True" {
			return true
		}
	}
	return false
}

// read decodes all documents, in the files' order.
func read(paths []string) ([]*unstructured.Unstructured, error) {
	files, err := expand(paths)
	if err != nil {
		return nil, err
	}
	var out []*unstructured.Unstructured
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(b), yamlBuffer)
		for {
			u := &unstructured.Unstructured{}
			if err := d.Decode(u); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("%s: %w", f, err)
			}
			switch {
			case len(u.Object) == 0:
			case u.IsList():
				if err := u.EachListItem(func(o runtime.Object) error {
					out = append(out, o.(*unstructured.Unstructured))
					return nil
				}); err != nil {
					return nil, fmt.Errorf("%s: %w", f, err)
				}
			case u.GetKind() == "" || u.GetName() == "":
				return nil, fmt.Errorf("%s: a document has no kind or no name", f)
			default:
				out = append(out, u)
			}
		}
	}
	return out, nil
}

// expand replaces folders by the YAML files in them, kustomizations apart.
func expand(paths []string) ([]string, error) {
	var files []string
	for _, p := range paths {
		st, err := os.Stat(p)
		if err != nil {
			return nil, err
		}
		if !st.IsDir() {
			files = append(files, p)
			continue
		}
		m, err := filepath.Glob(filepath.Join(p, "*.y*ml"))
		if err != nil {
			return nil, err
		}
		sort.Strings(m)
		for _, f := range m {
			if !strings.HasPrefix(filepath.Base(f), "kustomization") {
				files = append(files, f)
			}
		}
	}
	return files, nil
}
