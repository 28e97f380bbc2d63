package node

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

const (
	dataLink    = "..data"
	dataLinkNew = "..data_tmp"
)

// atomicDir is a folder whose files change all at once, laid out as a kubelet does it: the files lie
// in a folder of their own, ..data is a link to it, and each name is a link through ..data. One
// rename of ..data changes them all, and programs that watch it see it happen.
type atomicDir struct {
	dir   string
	files map[string][]byte
}

func (a *atomicDir) write(files map[string][]byte) error {
	if a.files != nil && maps.EqualFunc(a.files, files, bytes.Equal) {
		return nil
	}
	for name := range files {
		if !filepath.IsLocal(name) || strings.HasPrefix(name, "..") {
			return fmt.Errorf("%q is no file name inside a volume", name)
		}
	}
	next, err := os.MkdirTemp(a.dir, "..v")
	if err != nil {
		return err
	}
	if err := os.Chmod(next, 0o755); err != nil {
		return err
	}
	for name, b := range files {
		f := filepath.Join(next, name)
		if err := os.MkdirAll(filepath.Dir(f), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(f, b, 0o644); err != nil {
			return err
		}
	}
	old, err := os.Readlink(filepath.Join(a.dir, dataLink))
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	link := filepath.Join(a.dir, dataLinkNew)
	if err := os.RemoveAll(link); err != nil {
		return err
	}
	if err := os.Symlink(filepath.Base(next), link); err != nil {
		return err
	}
	if err := os.Rename(link, filepath.Join(a.dir, dataLink)); err != nil {
		return err
	}
	a.files = maps.Clone(files)
	if err := a.links(); err != nil {
		return err
	}
	if old != "" {
		return os.RemoveAll(filepath.Join(a.dir, old))
	}
	return nil
}

// links makes the names that users see, and takes away those that are no longer there.
func (a *atomicDir) links() error {
	want := map[string]bool{}
	for name := range a.files {
		top, _, _ := strings.Cut(name, "/")
		want[top] = true
	}
	have, err := os.ReadDir(a.dir)
	if err != nil {
		return err
	}
	for _, e := range have {
		if strings.HasPrefix(e.Name(), "..") {
			continue
		}
		if !want[e.Name()] {
			if err := os.Remove(filepath.Join(a.dir, e.Name())); err != nil {
				return err
			}
		}
		delete(want, e.Name())
	}
	for top := range want {
		if err := os.Symlink(filepath.Join(dataLink, top), filepath.Join(a.dir, top)); err != nil {
			return err
		}
	}
	return nil
}
