package node

import (
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
)

// capabilityNames are the names of capabilities in the order of their numbers (linux/capability.h).
var capabilityNames = strings.Fields(`CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP
	LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT
	SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE
	AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`)

// usualCapabilities are what container runtimes give when nobody says otherwise.
var usualCapabilities = strings.Fields(`CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP
	NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE`)

// security is what a container may do and as whom.
type security struct {
	uid, gid     uint32
	groups       []uint32
	capabilities uint64
	noNewPrivs   bool
	readOnly     bool
}

// securityOf puts together what the image, the pod and, most closely, the container say.
func securityOf(p *v1.PodSecurityContext, c *v1.SecurityContext, img *ociImage) (security, error) {
	var s security
	if img != nil {
		s.uid, s.gid = img.uid, img.gid
	}
	nonRoot := false
	if p != nil {
		s.uid, s.gid = or(p.RunAsUser, s.uid), or(p.RunAsGroup, s.gid)
		nonRoot = p.RunAsNonRoot != nil && *p.RunAsNonRoot
		for _, g := range p.SupplementalGroups {
			s.groups = append(s.groups, uint32(g))
		}
		if p.FSGroup != nil {
			s.groups = append(s.groups, uint32(*p.FSGroup))
		}
	}
	if c == nil {
		c = &v1.SecurityContext{}
	}
	s.uid, s.gid = or(c.RunAsUser, s.uid), or(c.RunAsGroup, s.gid)
	if c.RunAsNonRoot != nil {
		nonRoot = *c.RunAsNonRoot
	}
	if nonRoot && s.uid == 0 {
		return s, fmt.Errorf("container has runAsNonRoot and image will run as root")
	}
	s.noNewPrivs = c.AllowPrivilegeEscalation != nil && !*c.AllowPrivilegeEscalation
	s.readOnly = c.ReadOnlyRootFilesystem != nil && *c.ReadOnlyRootFilesystem
	var err error
	s.capabilities, err = capabilities(c)
	return s, err
}

func or(n *int64, other uint32) uint32 {
	if n == nil {
		return other
	}
	return uint32(*n)
}

func capabilities(c *v1.SecurityContext) (bits uint64, err error) {
	all := uint64(1)<<len(capabilityNames) - 1
	if c.Privileged != nil && *c.Privileged {
		return all, nil
	}
	add := func(name string) uint64 {
		n := slices.Index(capabilityNames, name)
		if n < 0 {
			err = fmt.Errorf("there is no capability %q", name)
			return 0
		}
		return 1 << n
	}
	for _, name := range usualCapabilities {
		bits |= add(name)
	}
	if c.Capabilities == nil {
		return bits, err
	}
	for _, name := range c.Capabilities.Drop {
		if name == "ALL" {
			bits = 0
		} else {
			bits &^= add(string(name))
		}
	}
	for _, name := range c.Capabilities.Add {
		if name == "ALL" {
			bits = all
		} else {
			bits |= add(string(name))
		}
	}
	return bits, err
}

// become does to the calling thread, which has a root of its own, what a container runtime does to a process before it
// starts the program: what the thread forks from now on is confined. Raw system calls throughout: those of the library
// would speak for all threads.
func (s security) become(root string) error {
	if err := unix.Unshare(unix.CLONE_NEWPID); err != nil {
		return fmt.Errorf("process namespace: %w", err)
	}
	if err := unix.Chroot(root); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	for n := range capabilityNames {
		if s.capabilities&(1<<n) == 0 {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(n), 0, 0, 0); err != nil {
				return fmt.Errorf("capability %s: %w", capabilityNames[n], err)
			}
		}
	}
	groups := unsafe.Pointer(unsafe.SliceData(s.groups))
	uid, gid := uintptr(s.uid), uintptr(s.gid)
	// Runtimes keep what is permitted when they change users, so that a program's file can give it.
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("keeping capabilities: %w", err)
	}
	for _, call := range [][4]uintptr{
		{unix.SYS_SETGROUPS, uintptr(len(s.groups)), uintptr(groups)},
		{unix.SYS_SETRESGID, gid, gid, gid},
		{unix.SYS_SETRESUID, uid, uid, uid},
	} {
		if _, _, errno := unix.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
			return fmt.Errorf("user %d, group %d: %w", s.uid, s.gid, errno)
		}
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	low, high := uint32(s.capabilities), uint32(s.capabilities>>32)
	data := [2]unix.CapUserData{{Effective: low, Permitted: low}, {Effective: high, Permitted: high}}
	if err := unix.Capset(&head, &data[0]); err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	if s.noNewPrivs {
		return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	}
	return nil
}
