package node

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
)

const rootOptions = "mode=755,size=256m" // of the tmpfs that holds a container's own files

var (
	// The machine's programs and libraries, seen read-only by every container.
	machineDirs = []string{"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "opt"}
	kernelDirs  = []string{"/dev", "/proc", "/sys"}
	machineEtc  = []string{"/etc/ssl", "/etc/ld.so.cache", "/etc/alternatives"}
	emptyDirs   = []string{"tmp", "run", "var/tmp", "var/run", "home", "etc", "image"}
)

// buildRoot assembles the container's file system on a tmpfs: the machine's programs and libraries
// read-only, an /etc of its own, the image's program, and the volumes. All mounts are in the calling
// thread's private mount namespace and end with the process.
func (p *pod) buildRoot(root string, c *v1.Container, img Image, own *ociImage, readOnly bool) error {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", root, "tmpfs", 0, rootOptions); err != nil {
		return fmt.Errorf("tmpfs: %w", err)
	}
	if own != nil {
		if err := p.fromImage(root, own.root); err != nil {
			return err
		}
	} else if err := errors.Join(machine(root), p.etc(root)); err != nil {
		return err
	}
	if img.Program != "" {
		if err := bind(img.Program, root, path.Join(imageDir, filepath.Base(img.Program)), true); err != nil {
			return err
		}
	}
	for to, from := range img.Mounts {
		if err := bind(from, root, to, true); err != nil {
			return err
		}
	}
	for _, m := range c.VolumeMounts {
		from, err := p.mountSource(m)
		if err != nil {
			return err
		}
		if err := bind(from, root, m.MountPath, m.ReadOnly); err != nil {
			return fmt.Errorf("volume %q: %w", m.Name, err)
		}
	}
	if readOnly {
		if err := unix.Mount("", root, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
			return fmt.Errorf("read-only root: %w", err)
		}
	}
	return nil
}

// fromImage shows an unpacked image, read-only but for what it has in /tmp and /run, with the few files in /etc that a
// runtime adds. Nothing of the machine is seen but /dev, /proc and /sys.
func (p *pod) fromImage(root, image string) error {
	for _, d := range []string{"tmp", "run", "etc"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(filepath.Join(root, "tmp"), 0o1777); err != nil {
		return err
	}
	for _, d := range []string{"", "etc"} {
		entries, err := os.ReadDir(filepath.Join(image, d))
		if err != nil {
			return err
		}
		for _, e := range entries {
			at := filepath.Join("/", d, e.Name())
			if slices.Contains([]string{"/tmp", "/run", "/etc"}, at) || slices.Contains(kernelDirs, at) {
				continue
			}
			if err := bind(filepath.Join(image, at), root, at, true); err != nil {
				return err
			}
		}
	}
	for _, d := range kernelDirs {
		if err := bind(d, root, d, false); err != nil {
			return err
		}
	}
	return p.write(root, map[string]string{"hostname": p.obj.Name + "\n", "hosts": p.hosts(), "resolv.conf": ""})
}

func (p *pod) hosts() string {
	return fmt.Sprintf("127.0.0.1 localhost\n::1 localhost\n%s %s\n", p.ip, p.obj.Name)
}

func (p *pod) write(root string, files map[string]string) error {
	for n, s := range files {
		if err := os.WriteFile(filepath.Join(root, "etc", n), []byte(s), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func machine(root string) error {
	for _, d := range machineDirs {
		st, err := os.Lstat("/" + d)
		if err != nil {
			continue // not every machine has all of them
		}
		if st.Mode()&os.ModeSymlink != 0 {
			to, err := os.Readlink("/" + d)
			if err != nil {
				return err
			}
			if err := os.Symlink(to, filepath.Join(root, d)); err != nil {
				return err
			}
			continue
		}
		if err := bind("/"+d, root, "/"+d, true); err != nil {
			return err
		}
	}
	for _, d := range kernelDirs {
		if err := bind(d, root, d, false); err != nil {
			return err
		}
	}
	return nil
}

func (p *pod) etc(root string) error {
	for _, d := range emptyDirs {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	for _, d := range []string{"tmp", "var/tmp"} {
		if err := os.Chmod(filepath.Join(root, d), 0o1777); err != nil {
			return err
		}
	}
	files := map[string]string{
		"hostname": p.obj.Name + "\n",
		"hosts":    p.hosts(),
		"passwd":   "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
		"group":    "root:x:0:\nnogroup:x:65534:\n", "resolv.conf": "", "nsswitch.conf": "hosts: files dns\n",
	}
	if err := p.write(root, files); err != nil {
		return err
	}
	for _, f := range machineEtc {
		if _, err := os.Stat(f); err == nil {
			if err := bind(f, root, f, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// bind mounts from at root+to, making the mount point, which must lie on the tmpfs.
func bind(from, root, to string, readOnly bool) error {
	at := filepath.Join(root, to)
	st, err := os.Stat(from)
	if err != nil {
		return err
	}
	if st.IsDir() {
		err = os.MkdirAll(at, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(at), 0o755); err == nil {
		var f *os.File
		if f, err = os.OpenFile(at, os.O_CREATE, 0o644); err == nil {
			err = f.Close()
		}
	}
	if err != nil {
		return fmt.Errorf("mount point %s: %w", to, err)
	}
	if err := unix.Mount(from, at, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s: %w", to, err)
	}
	if readOnly {
		// A user namespace may not change flags of mounts it did not make; there, what is not
		// this user's to write is safe all the same.
		_ = unix.Mount("", at, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
	}
	return nil
}
