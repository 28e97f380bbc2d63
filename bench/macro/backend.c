// The bench's backend: one epoll thread, HTTP/1.1 keep-alive, reads whole request bodies before it answers.
// GET /static/64k and /static/1m: that many bytes; anything else: 152 bytes; /last: behind it the client is to close. Usage: backend PORT
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "listening.h"

enum { HEAD_BYTES = 32768, EVENTS = 256, KINDS = 4 };

typedef struct {
  int fd;
  int have;         // bytes of a head (and what follows it) in `head`
  long body;        // bytes of a request body still to come
  const char *out;  // what is left to send
  long out_left;
  char head[HEAD_BYTES];
} Connection;

static char *answers[KINDS];
static long answer_bytes[KINDS];

static void prepare(int kind, long body) {
  char head[256];
  int n = sprintf(head,
                  "HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Sat, 21 Nov 2026 00:00:00 GMT\r\n"
                  "Content-Type: text/plain\r\n%sContent-Length: %ld\r\n\r\n",
                  kind == 3 ? "Connection: close\r\n" : "", body);
  char *p = malloc(n + body);
  memcpy(p, head, n);
  for (long i = 0; i < body; i++) p[n + i] = '0' + i % 10;
  answers[kind] = p;
  answer_bytes[kind] = n + body;
}

static void answer(Connection *c, int kind) {
  c->out = answers[kind];
  c->out_left = answer_bytes[kind];
}

// 1: all sent, 0: the socket is full, -1: gone
static int flush(Connection *c) {
  while (c->out_left > 0) {
    ssize_t n = send(c->fd, c->out, c->out_left, MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN ? 0 : -1;
    c->out += n;
    c->out_left -= n;
  }
  return 1;
}

static long content_length(const char *head, const char *end) {
  for (const char *line = memmem(head, end - head, "\r\n", 2) + 2; line < end;) {
    if (!strncasecmp(line, "content-length:", 15)) return atol(line + 15);
    line = (const char *)memmem(line, end + 2 - line, "\r\n", 2) + 2;
  }
  return 0;
}

// Answers every request that is complete; -1 when the connection is to be closed.
static int work(Connection *c) {
  for (;;) {
    int sent = flush(c);
    if (sent <= 0) return sent;
    char *end = c->have > 0 ? memmem(c->head, c->have, "\r\n\r\n", 4) : NULL;
    if (end == NULL) return c->have < HEAD_BYTES ? 0 : -1;
    long head = end + 4 - c->head;
    long length = content_length(c->head, end);
    const char *path = (const char *)memchr(c->head, ' ', head) + 1;
    int kind = !strncmp(path, "/static/64k", 11) ? 1 : !strncmp(path, "/static/1m", 10) ? 2 : !strncmp(path, "/last", 5) ? 3 : 0;
    long there = c->have - head < length ? c->have - head : length;
    memmove(c->head, c->head + head + there, c->have - head - there);
    c->have -= head + there;
    c->body = length - there;
    if (c->body > 0) return 0;
    answer(c, kind);
  }
}

static int readable(Connection *c) {
  for (;;) {
    static char sink[65536];
    ssize_t n = c->body > 0 ? recv(c->fd, sink, c->body < (long)sizeof sink ? c->body : (long)sizeof sink, 0)
                            : recv(c->fd, c->head + c->have, HEAD_BYTES - c->have, 0);
    if (n == 0) return -1;
    if (n < 0) return errno == EAGAIN ? 0 : -1;
    if (c->body > 0) {
      c->body -= n;
      if (c->body == 0) answer(c, 0);
    } else {
      c->have += n;
    }
    if (c->body == 0 && work(c) < 0) return -1;
  }
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  prepare(0, 152);
  prepare(1, 65536);
  prepare(2, 1 << 20);
  prepare(3, 152);
  int listener = listening("backend", argv[1]), one = 1;
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
          event = (struct epoll_event){EPOLLIN | EPOLLOUT | EPOLLET, {.ptr = c}};
          epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
        }
        continue;
      }
      if ((c->body == 0 && work(c) < 0) || readable(c) < 0) {
        close(c->fd);
        free(c);
      }
    }
  }
}
