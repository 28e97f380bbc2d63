package manifests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"b.yaml":             "kind: B\nmetadata: {name: b}\n---\n# nothing\n---\nkind: C\nmetadata: {name: c}\n",
		"a.yml":              "kind: List\nitems: [{kind: D, metadata: {name: d}}, {kind: E, metadata: {name: e}}]\n",
		"kustomization.yaml": "resources: []\n",
		"readme.txt":         "no manifest",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := func(paths ...string) string {
		objects, err := read(paths)
		if err != nil {
			return err.Error()
		}
		var kinds []string
		for _, u := range objects {
			kinds = append(kinds, u.GetKind()+u.GetName())
		}
		return strings.Join(kinds, " ")
	}
	if s := got(dir); s != "Dd Ee Bb Cc" {
		t.Errorf("the folder: %s", s)
	}
	if s := got(filepath.Join(dir, "b.yaml"), filepath.Join(dir, "a.yml")); s != "Bb Cc Dd Ee" {
		t.Errorf("two files: %s", s)
	}
	for text, want := range map[string]string{"kind: X\n": "no kind or no name", "kind: [\n": "bad.yaml", "": ""} {
		file := filepath.Join(dir, "bad.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if s := got(file); !strings.Contains(s, want) || (s == "") != (want == "") {
			t.Errorf("%q: %s, want %q", text, s, want)
		}
	}
	if s := got(filepath.Join(dir, "none.yaml")); !strings.Contains(s, "none.yaml") {
		t.Errorf("a missing file: %s", s)
	}
}
