package node

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"sort"
)

// Image says which program of this machine plays an image.
type Image struct {
	Program string            `json:"program"`          // the entry point
	OCI     string            `json:"oci,omitempty"`    // instead of all else: an OCI layout, whose root is the container's
	Args    []string          `json:"args,omitempty"`   // before the pod's own
	Env     map[string]string `json:"env,omitempty"`    // beside the pod's own, which win
	Mounts  map[string]string `json:"mounts,omitempty"` // path in the pod -> folder of this machine, read-only
	Workdir string            `json:"workdir,omitempty"`
}

// Images maps patterns (path.Match, on the whole reference) to programs.
type Images map[string]Image

// Load adds the mappings of a JSON file; its relative paths are relative to it.
func (m Images) Load(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var more Images
	if err := json.Unmarshal(b, &more); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	base, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return err
	}
	abs := func(p string) string {
		if filepath.IsAbs(p) {
			return p
		}
		return filepath.Join(base, p)
	}
	for pattern, i := range more {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("%s: pattern %q: %w", file, pattern, err)
		}
		source := &i.Program
		if i.OCI != "" {
			source = &i.OCI
		}
		*source = abs(*source)
		if _, err := os.Stat(*source); err != nil {
			return fmt.Errorf("%s: image %q: %w", file, pattern, err)
		}
		for to, from := range i.Mounts {
			i.Mounts[to] = abs(from)
		}
		m[pattern] = i
	}
	return nil
}

// lookup finds the program for an image. Of several patterns that match, the longest wins.
func (m Images) lookup(ref string) (Image, bool) {
	patterns := make([]string, 0, len(m))
	for p := range m {
		patterns = append(patterns, p)
	}
	sort.Slice(patterns, func(a, b int) bool {
		if len(patterns[a]) != len(patterns[b]) {
			return len(patterns[a]) > len(patterns[b])
		}
		return patterns[a] < patterns[b]
	})
	for _, p := range patterns {
		if ok, err := path.Match(p, ref); p == ref || ok && err == nil {
			return m[p], true
		}
	}
	return Image{}, false
}
