package node

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	xattrRecord = "SCHILY.xattr." // how tar files carry extended attributes
	imagesDir   = "images"
)

// ociImage is an image of an OCI layout, unpacked.
type ociImage struct {
	root       string
	entrypoint []string
	cmd        []string
	env        []string
	uid, gid   uint32
}

type descriptor struct {
	Digest string `json:"digest"`
}

// oci returns the unpacked image of a layout; it is unpacked once.
func (k *Kubelet) oci(layout string) (*ociImage, error) {
	k.unpacking.Lock()
	defer k.unpacking.Unlock()
	if i := k.unpacked[layout]; i != nil {
		return i, nil
	}
	i, err := unpack(layout, filepath.Join(k.Dir, imagesDir, strconv.Itoa(len(k.unpacked))))
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", layout, err)
	}
	k.unpacked[layout] = i
	return i, nil
}

func unpack(layout, root string) (*ociImage, error) {
	var index struct {
		Manifests []descriptor `json:"manifests"`
	}
	b, err := os.ReadFile(filepath.Join(layout, "index.json"))
	if err == nil {
		err = json.Unmarshal(b, &index)
	}
	if err == nil && len(index.Manifests) != 1 {
		err = fmt.Errorf("%d manifests, where one is expected", len(index.Manifests))
	}
	if err != nil {
		return nil, err
	}
	var manifest struct {
		Config descriptor   `json:"config"`
		Layers []descriptor `json:"layers"`
	}
	if err := readBlob(layout, index.Manifests[0], &manifest); err != nil {
		return nil, err
	}
	var config struct {
		Config struct {
			User       string   `json:"User"`
			Env        []string `json:"Env"`
			Entrypoint []string `json:"Entrypoint"`
			Cmd        []string `json:"Cmd"`
		} `json:"config"`
	}
	if err := readBlob(layout, manifest.Config, &config); err != nil {
		return nil, err
	}
	c := config.Config
	i := &ociImage{root: root, entrypoint: c.Entrypoint, cmd: c.Cmd, env: c.Env}
	if i.uid, i.gid, err = numericUser(c.User); err != nil {
		return nil, err
	}
	for _, l := range manifest.Layers {
		if err := unpackLayer(blobPath(layout, l), root); err != nil {
			return nil, err
		}
	}
	return i, nil
}

func blobPath(layout string, d descriptor) string {
	return filepath.Join(layout, "blobs", strings.Replace(d.Digest, ":", "/", 1))
}

func readBlob(layout string, d descriptor, into any) error {
	b, err := os.ReadFile(blobPath(layout, d))
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

// numericUser reads UID or UID:GID; names are not looked up.
func numericUser(s string) (uid, gid uint32, err error) {
	if s == "" {
		return 0, 0, nil
	}
	u, g, both := strings.Cut(s, ":")
	n, err := strconv.ParseUint(u, 10, 32)
	if err == nil && both {
		var m uint64
		m, err = strconv.ParseUint(g, 10, 32)
		gid = uint32(m)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("user %q is not numeric", s)
	}
	return uint32(n), gid, nil
}

func unpackLayer(path, root string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = unpackEntry(t, h, filepath.Join(root, filepath.Clean("/"+h.Name)))
		}
		if err != nil {
			return err
		}
	}
}

func unpackEntry(t *tar.Reader, h *tar.Header, at string) error {
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		if err := os.MkdirAll(at, 0o755); err != nil {
			return err
		}
	case tar.TypeSymlink:
		return os.Symlink(h.Linkname, at)
	case tar.TypeReg:
		f, err := os.OpenFile(at, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, t)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%s: entries of type %q are not offered", h.Name, h.Typeflag)
	}
	if err := unix.Chmod(at, uint32(h.Mode)); err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	for k, v := range h.PAXRecords {
		name, ok := strings.CutPrefix(k, xattrRecord)
		if !ok {
			continue
		}
		if err := unix.Lsetxattr(at, name, []byte(v), 0); err != nil {
			return fmt.Errorf("%s: attribute %s: %w", h.Name, name, err)
		}
	}
	return nil
}
