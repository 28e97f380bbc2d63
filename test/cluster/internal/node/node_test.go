package node

import (
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// tree reads all that a user of a volume sees.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var out []string
	var walk func(string)
	walk = func(at string) {
		entries, err := os.ReadDir(filepath.Join(dir, at))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			name := filepath.Join(at, e.Name())
			if strings.HasPrefix(e.Name(), "..") {
				continue
			}
			st, err := os.Stat(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if st.IsDir() {
				walk(name)
				continue
			}
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, name+"="+string(b))
		}
	}
	walk("")
	sort.Strings(out)
	return strings.Join(out, " ")
}

func TestAtomicDir(t *testing.T) {
	a := &atomicDir{dir: t.TempDir()}
	link := func() string {
		to, err := os.Readlink(filepath.Join(a.dir, dataLink))
		if err != nil {
			t.Fatal(err)
		}
		return to
	}
	files := func(kv ...string) map[string][]byte {
		m := map[string][]byte{}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = []byte(kv[i+1])
		}
		return m
	}
	last := ""
	for _, c := range []struct {
		files map[string][]byte
		want  string
		same  bool
	}{
		{files("a", "1", "d/b", "2"), "a=1 d/b=2", false},
		{files("a", "1", "d/b", "2"), "a=1 d/b=2", true},
		{files("a", "3", "d/b", "2", "d/c", "4"), "a=3 d/b=2 d/c=4", false},
		{files("e", "5"), "e=5", false},
		{files(), "", false},
	} {
		if err := a.write(c.files); err != nil {
			t.Fatal(err)
		}
		if got := tree(t, a.dir); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
		if now := link(); (now == last) != c.same {
			t.Errorf("%v: swapped: %v, want %v", c.files, now != last, !c.same)
		} else {
			last = now
		}
		if all, err := os.ReadDir(a.dir); err != nil || len(all) > 4 {
			t.Errorf("old contents are left: %v %v", all, err)
		}
	}
	for _, bad := range []string{"../x", "/x", "..data"} {
		if err := a.write(files(bad, "")); err == nil {
			t.Errorf("%q was written", bad)
		}
	}
}

func TestImages(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "images.json")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "prog"), nil, 0o700); err != nil {
		t.Fatal(err)
	}
	m := Images{"*/echo:*": {Program: "/echo"}, "*/*/echo:v2": {Program: "/two"}}
	write(`{"ghcr.test/rauta:1":{"program":"prog","args":["serve"],"mounts":{"/app":"sub"}},"*/*/echo:v[":{"program":"prog"}}`)
	if err := m.Load(file); err == nil {
		t.Error("a broken pattern was taken")
	}
	write(`{"x":{"program":"no-such-program"}}`)
	if err := m.Load(file); err == nil || !strings.Contains(err.Error(), "no-such-program") {
		t.Errorf("a missing program: %v", err)
	}
	write(`{"ghcr.test/rauta:1":{"program":"prog","args":["serve"],"mounts":{"/app":"sub"}}}`)
	if err := m.Load(file); err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]string{"a/echo:v1": "/echo", "a/b/echo:v2": "/two", "a/b/echo:v1": "", "ghcr.test/rauta:1": filepath.Join(dir, "prog")} {
		if i, ok := m.lookup(ref); i.Program != want || ok != (want != "") {
			t.Errorf("%s: %+v", ref, i)
		}
	}
	if to := m["ghcr.test/rauta:1"].Mounts["/app"]; to != filepath.Join(dir, "sub") {
		t.Errorf("mount: %s", to)
	}
}

func TestSecurityOf(t *testing.T) {
	yes, user, zero := true, int64(7), int64(0)
	image := &ociImage{uid: 65532, gid: 65532}
	restricted := &v1.SecurityContext{RunAsNonRoot: &yes, Capabilities: &v1.Capabilities{Drop: []v1.Capability{"ALL"}, Add: []v1.Capability{"SETPCAP"}}}
	s, err := securityOf(&v1.PodSecurityContext{RunAsUser: &user}, restricted, image)
	if err != nil || s.uid != 7 || s.gid != 65532 || s.capabilities != 1<<8 || s.noNewPrivs || s.readOnly {
		t.Errorf("%+v %v", s, err)
	}
	if s, err = securityOf(nil, nil, image); err != nil || s.uid != 65532 || s.capabilities != 0xa80425fb {
		t.Errorf("the image's user with what is usual: %+v %v", s, err)
	}
	for want, c := range map[string]*v1.SecurityContext{
		"will run as root":             {RunAsNonRoot: &yes, RunAsUser: &zero},
		`there is no capability "FLY"`: {Capabilities: &v1.Capabilities{Add: []v1.Capability{"FLY"}}},
	} {
		if _, err := securityOf(nil, c, image); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, _, err := numericUser("nobody"); err == nil {
		t.Error("a name was taken for a number")
	}
}

func TestUnsupported(t *testing.T) {
	pod := func(change func(*v1.Pod)) *v1.Pod {
		p := &v1.Pod{Spec: v1.PodSpec{Containers: []v1.Container{{Name: "c"}}}}
		change(p)
		return p
	}
	for want, change := range map[string]func(*v1.Pod){
		"": func(p *v1.Pod) {
			p.Spec.Containers[0].Lifecycle = &v1.Lifecycle{PreStop: &v1.LifecycleHandler{Sleep: &v1.SleepAction{Seconds: 1}}}
		},
		"the startup probe": func(p *v1.Pod) {
			p.Spec.Containers[0].StartupProbe = &v1.Probe{ProbeHandler: v1.ProbeHandler{GRPC: &v1.GRPCAction{Port: 1}}}
		},
		"lifecycle hooks": func(p *v1.Pod) {
			p.Spec.InitContainers = []v1.Container{{Name: "i", Lifecycle: &v1.Lifecycle{PreStop: &v1.LifecycleHandler{Exec: &v1.ExecAction{}}}}}
		},
		"sysctl kernel.x=1": func(p *v1.Pod) {
			p.Spec.SecurityContext = &v1.PodSecurityContext{Sysctls: []v1.Sysctl{{Name: "kernel.x", Value: "1"}}}
		},
		"hostPort 80": func(p *v1.Pod) { p.Spec.Containers[0].Ports = []v1.ContainerPort{{HostPort: 80}} },
		"volume v: only": func(p *v1.Pod) {
			p.Spec.Volumes = []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{NFS: &v1.NFSVolumeSource{}}}}
		},
	} {
		if got := unsupported(pod(change)); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestLogStore(t *testing.T) {
	s, err := newLogStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	open := func(uid string) *containerLog {
		l, err := s.open("ns_pod_c", types.UID(uid))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := open("1")
	for n := range maxLogLines + 1 {
		l.add(strings.Repeat("x", n%3))
	}
	if n := len(l.lines); n > maxLogLines || l.first+n != maxLogLines+1 {
		t.Errorf("%d lines in memory, %d dropped", n, l.first)
	}
	if next := l.start(map[string][]string{"tailLines": {"2"}}); next != maxLogLines-1 {
		t.Errorf("the last two lines begin at %d", next)
	}
	if open("1") != l {
		t.Error("a restarted container starts a new log")
	}
	if again := open("2"); again == l || !l.closed {
		t.Error("a new pod of the same name goes on with the old one's log")
	}
	batch, _, more := l.read(0, func() bool { return true })
	if len(batch) == 0 || more {
		t.Errorf("a closed log: %d lines, more: %v", len(batch), more)
	}
}
