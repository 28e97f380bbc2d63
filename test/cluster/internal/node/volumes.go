package node

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"

	authv1 "k8s.io/api/authentication/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// tokenLife is the life of service account tokens: longer than any cluster here, so that nobody
// needs to renew them.
const tokenLife = 24 * 3600

// volume is a folder that containers see. Its contents follow the API objects it was made from.
type volume struct {
	dir  string
	spec *v1.Volume
	live *atomicDir // nil for emptyDir and hostPath, which belong to the containers
}

// makeVolumes writes all volumes of the pod. It fails while an object they need is missing.
func (p *pod) makeVolumes(ctx context.Context) error {
	out := map[string]*volume{}
	for i := range p.obj.Spec.Volumes {
		v := &p.obj.Spec.Volumes[i]
		if v.HostPath != nil {
			dir := v.HostPath.Path
			// What a node's kubelet would make is made in a folder of the pretended node: nothing of the machine changes.
			if t := v.HostPath.Type; t != nil && *t == v1.HostPathDirectoryOrCreate {
				dir = filepath.Join(p.k.Dir, "nodes", p.obj.Spec.NodeName, dir)
				if err := os.MkdirAll(dir, 0o755); err != nil {
					return err
				}
			}
			out[v.Name] = &volume{dir: dir, spec: v}
			continue
		}
		dir := filepath.Join(p.dir, "volumes", v.Name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if v.EmptyDir != nil {
			if err := os.Chmod(dir, 0o777); err != nil {
				return err
			}
			out[v.Name] = &volume{dir: dir, spec: v}
			continue
		}
		files, err := p.contents(ctx, v)
		if err != nil {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
		live := &atomicDir{dir: dir}
		if err := live.write(files); err != nil {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
		out[v.Name] = &volume{dir: dir, spec: v, live: live}
	}
	p.mu.Lock()
	p.volumes = out
	p.mu.Unlock()
	return nil
}

// mountSource is the file or folder behind a mount. A subPath is resolved once, as by a real
// kubelet: what it points to does not follow later changes.
func (p *pod) mountSource(m v1.VolumeMount) (string, error) {
	p.mu.Lock()
	v := p.volumes[m.Name]
	p.mu.Unlock()
	if v == nil {
		return "", fmt.Errorf("no volume %q", m.Name)
	}
	if m.SubPath == "" {
		return v.dir, nil
	}
	path := filepath.Join(v.dir, m.SubPath)
	if v.spec.EmptyDir != nil {
		if err := os.MkdirAll(path, 0o777); err != nil {
			return "", err
		}
	}
	return filepath.EvalSymlinks(path)
}

// contents reads what a volume shall hold now.
func (p *pod) contents(ctx context.Context, v *v1.Volume) (map[string][]byte, error) {
	switch {
	case v.Secret != nil:
		data, err := p.secret(ctx, v.Secret.SecretName, v.Secret.Optional)
		return pick(data, v.Secret.Items, v.Secret.Optional, err)
	case v.ConfigMap != nil:
		data, err := p.configMap(ctx, v.ConfigMap.Name, v.ConfigMap.Optional)
		return pick(data, v.ConfigMap.Items, v.ConfigMap.Optional, err)
	case v.DownwardAPI != nil:
		return p.downward(v.DownwardAPI.Items)
	}
	out := map[string][]byte{}
	for _, s := range v.Projected.Sources {
		var part map[string][]byte
		var err error
		switch {
		case s.Secret != nil:
			part, err = p.secret(ctx, s.Secret.Name, s.Secret.Optional)
			part, err = pick(part, s.Secret.Items, s.Secret.Optional, err)
		case s.ConfigMap != nil:
			part, err = p.configMap(ctx, s.ConfigMap.Name, s.ConfigMap.Optional)
			part, err = pick(part, s.ConfigMap.Items, s.ConfigMap.Optional, err)
		case s.DownwardAPI != nil:
			part, err = p.downward(s.DownwardAPI.Items)
		case s.ServiceAccountToken != nil:
			part, err = p.token(ctx, v.Name, s.ServiceAccountToken)
		}
		if err != nil {
			return nil, err
		}
		maps.Copy(out, part)
	}
	return out, nil
}

// pick chooses and renames keys, as a volume's items say.
func pick(data map[string][]byte, items []v1.KeyToPath, optional *bool, err error) (map[string][]byte, error) {
	if err != nil || len(items) == 0 {
		return data, err
	}
	out := map[string][]byte{}
	for _, i := range items {
		b, ok := data[i.Key]
		if !ok {
			if optional != nil && *optional {
				continue
			}
			return nil, fmt.Errorf("no key %q", i.Key)
		}
		out[i.Path] = b
	}
	return out, nil
}

func (p *pod) downward(items []v1.DownwardAPIVolumeFile) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, i := range items {
		if i.FieldRef == nil {
			return nil, fmt.Errorf("%s: resource fields are offered in variables only", i.Path)
		}
		s, err := p.field(i.FieldRef.FieldPath)
		if err != nil {
			return nil, err
		}
		out[i.Path] = []byte(s)
	}
	return out, nil
}

// token asks the API for a token bound to this pod, or keeps the one there is.
func (p *pod) token(ctx context.Context, volumeName string, s *v1.ServiceAccountTokenProjection) (map[string][]byte, error) {
	p.mu.Lock()
	v := p.volumes[volumeName]
	p.mu.Unlock()
	if v != nil {
		if old, ok := v.live.files[s.Path]; ok {
			return map[string][]byte{s.Path: old}, nil
		}
	}
	life := int64(tokenLife)
	req := &authv1.TokenRequest{Spec: authv1.TokenRequestSpec{
		ExpirationSeconds: &life,
		BoundObjectRef:    &authv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: p.obj.Name, UID: p.obj.UID},
	}}
	if s.Audience != "" {
		req.Spec.Audiences = []string{s.Audience}
	}
	t, err := p.k.Client.CoreV1().ServiceAccounts(p.obj.Namespace).CreateToken(ctx, p.obj.Spec.ServiceAccountName, req, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	return map[string][]byte{s.Path: []byte(t.Status.Token)}, nil
}

// refresh writes the volumes anew whose objects changed. A volume whose object is gone, or lacks a
// key, keeps its last contents, as with a real kubelet.
func (p *pod) refresh(ctx context.Context) {
	p.refreshing.Lock() // one at a time: an older state must not overwrite a newer one
	defer p.refreshing.Unlock()
	p.mu.Lock()
	all := maps.Clone(p.volumes)
	p.mu.Unlock()
	for name, v := range all {
		if v.live == nil || p.stopping() {
			continue
		}
		files, err := p.contents(ctx, v.spec)
		if err == nil {
			err = v.live.write(files)
		}
		if err != nil {
			klog.V(1).InfoS("volume not refreshed", "pod", klog.KObj(p.obj), "volume", name, "err", err)
		}
	}
}

// update is told of the pod as it is now: its labels and annotations may be in a volume.
func (p *pod) update(ctx context.Context, o *v1.Pod) {
	p.mu.Lock()
	old := p.now
	p.now = o
	live := len(p.volumes) > 0
	p.mu.Unlock()
	if live && (!reflect.DeepEqual(old.Labels, o.Labels) || !reflect.DeepEqual(old.Annotations, o.Annotations)) {
		go p.refresh(ctx)
	}
}

func (p *pod) current() *v1.Pod {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

// uses says whether a volume of the pod was made from the named Secret or ConfigMap.
func (p *pod) uses(secret, configMap string) bool {
	for i := range p.obj.Spec.Volumes {
		v := &p.obj.Spec.Volumes[i]
		if v.Secret != nil && v.Secret.SecretName == secret || v.ConfigMap != nil && v.ConfigMap.Name == configMap {
			return true
		}
		if v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			if s.Secret != nil && s.Secret.Name == secret || s.ConfigMap != nil && s.ConfigMap.Name == configMap {
				return true
			}
		}
	}
	return false
}

// watchVolumes refreshes pods when a Secret or ConfigMap changes.
func (k *Kubelet) watchVolumes(ctx context.Context, f informers.SharedInformerFactory) error {
	changed := func(o any) {
		var ns, secret, configMap string
		switch o := o.(type) {
		case *v1.Secret:
			ns, secret = o.Namespace, o.Name
		case *v1.ConfigMap:
			ns, configMap = o.Namespace, o.Name
		}
		k.each(func(p *pod) {
			if p.obj.Namespace == ns && p.uses(secret, configMap) {
				go p.refresh(ctx)
			}
		})
	}
	handler := cache.ResourceEventHandlerFuncs{AddFunc: changed, UpdateFunc: func(_, o any) { changed(o) }}
	for _, i := range []cache.SharedIndexInformer{f.Core().V1().Secrets().Informer(), f.Core().V1().ConfigMaps().Informer()} {
		if _, err := i.AddEventHandler(handler); err != nil {
			return err
		}
	}
	return nil
}
