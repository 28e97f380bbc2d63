// Sizes and places of the C structures that cross the FFI boundary, and the constants of the calls. Linux only; glibc
// and musl agree in these. Data, so that both architectures are checked on either.

export interface Layout {
  /** `struct epoll_event`: packed on x86-64 only (include/uapi/linux/eventpoll.h, EPOLL_PACKED). */
  readonly epollEvent: { readonly size: number; readonly events: number; readonly data: number };
  readonly msghdr: {
    readonly size: number;
    readonly name: number;
    readonly nameLength: number;
    readonly iov: number;
    readonly iovLength: number;
    readonly control: number;
    readonly controlLength: number;
    readonly flags: number;
  };
  readonly cmsghdr: {
    readonly size: number;
    readonly length: number;
    readonly level: number;
    readonly type: number;
    readonly align: number;
  };
  /** `struct mmsghdr`: a msghdr, and how many bytes came or went. */
  readonly mmsghdr: { readonly size: number; readonly length: number };
  readonly iovec: { readonly size: number; readonly base: number; readonly length: number };
  readonly sockaddrIn: { readonly size: number; readonly port: number; readonly address: number };
  readonly sockaddrIn6: {
    readonly size: number;
    readonly port: number;
    readonly flow: number;
    readonly address: number;
    readonly scope: number;
  };
  readonly sockaddrUn: { readonly size: number; readonly path: number };
  readonly linger: { readonly size: number };
  readonly rlimit: { readonly size: number };
  readonly ucred: { readonly size: number; readonly pid: number; readonly uid: number };
}

const COMMON: Omit<Layout, 'epollEvent'> = {
  msghdr: { size: 56, name: 0, nameLength: 8, iov: 16, iovLength: 24, control: 32, controlLength: 40, flags: 48 },
  mmsghdr: { size: 64, length: 56 },
  cmsghdr: { size: 16, length: 0, level: 8, type: 12, align: 8 },
  iovec: { size: 16, base: 0, length: 8 },
  sockaddrIn: { size: 16, port: 2, address: 4 },
  sockaddrIn6: { size: 28, port: 2, flow: 4, address: 8, scope: 24 },
  sockaddrUn: { size: 110, path: 2 },
  linger: { size: 8 },
  rlimit: { size: 16 },
  ucred: { size: 12, pid: 0, uid: 4 },
};

export function layoutOf(arch: string): Layout {
  switch (arch) {
    case 'x64':
      return { ...COMMON, epollEvent: { size: 12, events: 0, data: 4 } };
    case 'arm64':
      return { ...COMMON, epollEvent: { size: 16, events: 0, data: 8 } };
    default:
      throw new RangeError(`no structure layout for ${arch}`);
  }
}

export const LAYOUT = layoutOf(process.arch);

export const AF = { UNIX: 1, INET: 2, INET6: 10 } as const;
export const SOCK = { STREAM: 1, DGRAM: 2, NONBLOCK: 0o4000, CLOEXEC: 0o2000000 } as const;
export const SOL = { IP: 0, SOCKET: 1, TCP: 6, UDP: 17, IPV6: 41 } as const;
export const SO = {
  REUSEADDR: 2,
  TYPE: 3,
  ERROR: 4,
  SNDBUF: 7,
  RCVBUF: 8,
  KEEPALIVE: 9,
  OOBINLINE: 10,
  LINGER: 13,
  REUSEPORT: 15,
  PEERCRED: 17,
  ATTACH_FILTER: 26,
  DETACH_FILTER: 27,
  ACCEPTCONN: 30,
  DOMAIN: 39,
} as const;
export const TCP = { NODELAY: 1, KEEPIDLE: 4, KEEPINTVL: 5, KEEPCNT: 6 } as const;
/** Of both families: what is asked for, and the kind of control message that comes of it. */
export const PKTINFO = { IPV4: 8, IPV4_MESSAGE: 8, IPV6: 49, IPV6_MESSAGE: 50 } as const;
export const UDP = { SEGMENT: 103, GRO: 104 } as const;
export const IPV6_V6ONLY = 26;
export const SHUT_WR = 1;
/** SIOCOUTQ (include/uapi/linux/sockios.h, asm-generic/ioctls.h). */
export const TIOCOUTQ = 0x5411;
export const MSG = { DONTWAIT: 0x40, CTRUNC: 8, NOSIGNAL: 0x4000, CMSG_CLOEXEC: 0x40000000 } as const;
export const SCM_RIGHTS = 1;
export const EPOLL = {
  CLOEXEC: 0o2000000,
  CTL_ADD: 1,
  CTL_DEL: 2,
  IN: 1,
  PRI: 2,
  OUT: 4,
  ERR: 8,
  HUP: 0x10,
  RDHUP: 0x2000,
  ET: 1 << 31,
} as const;
export const F = {
  SETFD: 2,
  GETFL: 3,
  SETFL: 4,
  SETPIPE_SZ: 1031,
  ADD_SEALS: 1033,
  GET_SEALS: 1034,
  CLOEXEC: 1,
} as const;
export const SEAL = { SEAL: 1, SHRINK: 2, GROW: 4 } as const;
export const MFD = { CLOEXEC: 1, ALLOW_SEALING: 2 } as const;
export const MMAP = { READ_WRITE: 3, SHARED: 1 } as const;
export const MADV_DONTNEED = 4;
export const M = { TRIM_THRESHOLD: -1, MMAP_THRESHOLD: -3, ARENA_MAX: -8 } as const;
export const SPLICE = { MOVE: 1, NONBLOCK: 2 } as const;
export const PR = {
  SET_PDEATHSIG: 1,
  SET_DUMPABLE: 4,
  SET_KEEPCAPS: 8,
  CAPBSET_DROP: 24,
  SET_NO_NEW_PRIVS: 38,
} as const;
/** include/uapi/linux/capability.h. */
export const CAP = { VERSION_3: 0x20080522, DAC_READ_SEARCH: 2, SETPCAP: 8, NET_BIND_SERVICE: 10, LAST: 63 } as const;
/** Numbers of calls that the C library has no function for: those of every architecture since Linux 5.13. */
export const SYS = { LANDLOCK_CREATE_RULESET: 444, LANDLOCK_ADD_RULE: 445, LANDLOCK_RESTRICT_SELF: 446 } as const;
/** include/uapi/linux/landlock.h. */
export const LANDLOCK = {
  CREATE_RULESET_VERSION: 1,
  PATH_BENEATH: 1,
  EXECUTE: 1,
  READ_FILE: 1 << 2,
  READ_DIR: 1 << 3,
  /** By version, from 1 on: to move between folders came with 2, to truncate with 3, ioctl of devices with 5. */
  FS_RIGHTS: [0x1fff, 0x3fff, 0x7fff, 0x7fff, 0xffff],
  SCOPES_SINCE: 6,
  SCOPE_SIGNAL: 1 << 1,
} as const;
export const RLIMIT = { CPU: 0, CORE: 4 } as const;
