// The bench's backend of gRPC: one epoll thread, cleartext HTTP/2 by prior knowledge. A call is answered when it is
// complete, by as many messages as it had bytes of them, each a DATA frame of its own as servers of gRPC send them:
// what comes has the length of what goes. It decodes no field section, since what it answers does not depend on one:
// sections of requests are read over. Windows: those it grants are as large as can be; of those it is granted it
// watches the connection's, and expects that a stream's holds a whole response. Usage: grpc-backend PORT
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "listening.h"

enum { IN_BYTES = 1 << 17, OUT_BYTES = 1 << 20, EVENTS = 256, STREAMS = 1024, MESSAGE = 105, PREFACE = 24, WAITING = 4096 };
enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION };

typedef struct {
  uint32_t id;
  uint32_t bytes;  // of content that came, then of content that is to go
} Call;

typedef struct {
  int fd;
  int preface;           // bytes of it still to come
  int have;              // bytes in `in`
  long window;           // of the connection, to send
  long granted;          // bytes that came since the last WINDOW_UPDATE
  int first, waiting;    // calls to be answered: a ring
  int out_from, out_to;  // of `out`
  Call open[STREAMS];    // by stream number, those that are coming
  Call calls[WAITING];
  unsigned char in[IN_BYTES], out[OUT_BYTES];
} Connection;

// :status 200 (indexed 8); content-type (31) application/grpc, not indexed
static const unsigned char HEAD[] = "\x88\x0f\x10\x10" "application/grpc";
static const unsigned char TRAILERS[] = "\x00\x0bgrpc-status\x01" "0";

static uint32_t word(const unsigned char *p) { return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3]; }

static unsigned char *frame(unsigned char *p, int length, int type, int flags, uint32_t id) {
  p[0] = length >> 16, p[1] = length >> 8, p[2] = length, p[3] = type, p[4] = flags;
  p[5] = id >> 24, p[6] = id >> 16, p[7] = id >> 8, p[8] = id;
  return p + 9;
}

static void put(Connection *c, const void *bytes, int length, int type, int flags, uint32_t id) {
  unsigned char *p = frame(c->out + c->out_to, length, type, flags, id);
  memcpy(p, bytes, length);
  c->out_to += 9 + length;
}

// 1: all sent, 0: the socket is full, -1: gone
static int flush(Connection *c) {
  while (c->out_from < c->out_to) {
    ssize_t n = send(c->fd, c->out + c->out_from, c->out_to - c->out_from, MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN ? 0 : -1;
    c->out_from += n;
  }
  c->out_from = c->out_to = 0;
  return 1;
}

// Answers what waits, as far as the window and the room go.
static void answer(Connection *c) {
  static unsigned char message[MESSAGE] = {0, 0, 0, 0, MESSAGE - 5};
  while (c->waiting > 0) {
    Call *call = &c->calls[c->first];
    long messages = call->bytes / MESSAGE, need = messages * (9 + MESSAGE) + 128;
    if (c->window < (long)call->bytes || OUT_BYTES - c->out_to < need) return;
    put(c, HEAD, sizeof HEAD - 1, HEADERS, 4, call->id);
    for (long i = 0; i < messages; i++) put(c, message, MESSAGE, DATA, 0, call->id);
    put(c, TRAILERS, sizeof TRAILERS - 1, HEADERS, 5, call->id);
    c->window -= messages * MESSAGE;
    c->first = (c->first + 1) % WAITING;
    c->waiting--;
  }
}

static int complete(Connection *c, Call *call) {
  if (c->waiting == WAITING) return -1;
  c->calls[(c->first + c->waiting++) % WAITING] = *call;
  call->id = 0;
  return 0;
}

static int on_frame(Connection *c, int length, int type, int flags, uint32_t id, const unsigned char *p) {
  Call *call = &c->open[(id >> 1) % STREAMS];
  switch (type) {
    case HEADERS:
      if ((flags & 4) == 0) return -1;
      *call = (Call){id, 0};
      return flags & 1 ? complete(c, call) : 0;
    case DATA: {
      c->granted += length;
      if (call->id != id) return 0;
      call->bytes += flags & 8 ? length - 1 - p[0] : length;
      if (c->granted > 1 << 20) {
        unsigned char more[4] = {c->granted >> 24, c->granted >> 16, c->granted >> 8, c->granted};
        put(c, more, 4, WINDOW_UPDATE, 0, 0);
        c->granted = 0;
      }
      return flags & 1 ? complete(c, call) : 0;
    }
    case RST_STREAM:
      if (call->id == id) call->id = 0;
      return 0;
    case SETTINGS:
      if ((flags & 1) == 0) put(c, "", 0, SETTINGS, 1, 0);
      return 0;
    case PING:
      if ((flags & 1) == 0) put(c, p, 8, PING, 1, 0);
      return 0;
    case WINDOW_UPDATE:
      if (id == 0) c->window += word(p) & 0x7fffffff;
      return 0;
    default:
      return 0;
  }
}

// Reads what is there; -1 when the connection is to be closed.
static int work(Connection *c) {
  for (;;) {
    int at = 0;
    if (c->preface > 0) {
      int n = c->have < c->preface ? c->have : c->preface;
      c->preface -= n;
      at = n;
    }
    while (c->have - at >= 9 && OUT_BYTES - c->out_to > 1024) {
      const unsigned char *p = c->in + at;
      int length = p[0] << 16 | p[1] << 8 | p[2];
      if (length > IN_BYTES / 2) return -1;
      if (c->have - at < 9 + length) break;
      if (on_frame(c, length, p[3], p[4], word(p + 5) & 0x7fffffff, p + 9) < 0) return -1;
      at += 9 + length;
    }
    memmove(c->in, c->in + at, c->have - at);
    c->have -= at;
    answer(c);
    int sent = flush(c);
    if (sent <= 0) return sent;
    answer(c);
    ssize_t n = recv(c->fd, c->in + c->have, IN_BYTES - c->have, 0);
    if (n == 0) return -1;
    if (n < 0) return errno == EAGAIN ? flush(c) : -1;
    c->have += n;
  }
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  int listener = listening("grpc-backend", argv[1]), one = 1;
  int poll = epoll_create1(0);
  struct epoll_event event = {EPOLLIN, {.ptr = NULL}}, events[EVENTS];
  epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    int n = epoll_wait(poll, events, EVENTS, -1);
    for (int i = 0; i < n; i++) {
      Connection *c = events[i].data.ptr;
      if (c == NULL) {
        for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
          setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
          c = calloc(1, sizeof *c);
          c->fd = fd;
          c->preface = PREFACE;
          c->window = 65535;
          // MAX_CONCURRENT_STREAMS 1000, INITIAL_WINDOW_SIZE 2^31-1; a window of the connection as large
          put(c, "\0\3\0\0\3\xe8\0\4\x7f\xff\xff\xff", 12, SETTINGS, 0, 0);
          put(c, "\x7f\xff\0\0", 4, WINDOW_UPDATE, 0, 0);
          event = (struct epoll_event){EPOLLIN | EPOLLOUT | EPOLLET, {.ptr = c}};
          epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
        }
        continue;
      }
      if (work(c) < 0) {
        close(c->fd);
        free(c);
      }
    }
  }
}
