// Load, backend and attacker of the bench's works over UDP, one thread each.
//   udp echo PORT                                 answers every datagram with itself
//   udp flood PORT                                a datagram each from ever new senders, as fast as they go
//   udp load PORT FLOWS WINDOW BYTES SECONDS RATE WINDOW datagrams of each flow are under way; RATE > 0: so many a
//                                                 second of all flows in turn, one at a time. Each says whose it is.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, DATAGRAM_BYTES = 2048, EVENTS = 256, SAMPLES = 1 << 20 };
/** Seconds after which what is not back is lost, and its flow goes on. */
static const double LOST = 0.2;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static struct sockaddr_in local(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int echo(int port) {
  static char data[BATCH][DATAGRAM_BYTES];
  static struct sockaddr_in names[BATCH];
  struct mmsghdr messages[BATCH];
  struct iovec pieces[BATCH];
  struct sockaddr_in address = local(port);
  int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 4 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  if (bind(fd, (void *)&address, sizeof address) < 0) fail("bind");
  for (;;) {
    for (int i = 0; i < BATCH; i++) {
      pieces[i] = (struct iovec){data[i], DATAGRAM_BYTES};
      messages[i].msg_hdr = (struct msghdr){.msg_name = &names[i], .msg_namelen = sizeof names[i], .msg_iov = &pieces[i], .msg_iovlen = 1};
    }
    int n = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
    for (int i = 0; i < n; i++) pieces[i].iov_len = messages[i].msg_len;
    for (int at = 0; at < n;) {
      int sent = sendmmsg(fd, messages + at, n - at, 0);
      at += sent > 0 ? sent : 1;
    }
  }
}

typedef struct {
  int fd;
  int out;
  double sent;
} Flow;

static char message[DATAGRAM_BYTES];

static void ask(Flow *flow, int index, int count, int bytes) {
  memcpy(message, &index, sizeof index);
  for (int i = 0; i < count; i++) send(flow->fd, message, bytes, 0);
  flow->out += count;
  flow->sent = now();
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static int load(int port, int count, int window, int bytes, double seconds, double rate) {
  static double waits[SAMPLES];
  static char in[DATAGRAM_BYTES];
  struct sockaddr_in address = local(port);
  struct epoll_event events[EVENTS];
  Flow *flows = calloc(count, sizeof *flows);
  int set = epoll_create1(0), turn = 0;
  long got = 0, wrong = 0, lost = 0, waited = 0;
  for (int i = 0; i < count; i++) {
    flows[i].fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (connect(flows[i].fd, (void *)&address, sizeof address) < 0) fail("connect");
    struct epoll_event event = {EPOLLIN, {.u32 = i}};
    epoll_ctl(set, EPOLL_CTL_ADD, flows[i].fd, &event);
  }
  double start = now(), end = start + seconds, next = start, look = start + LOST;
  // The first ones make the flows: not all in one moment.
  if (rate <= 0)
    for (int i = 0; i < count; i++) ask(&flows[i], i, window, bytes);
  while (now() < end) {
    for (int n = 0; rate > 0 && next <= now() && n < BATCH; n++, next += 1 / rate) {
      ask(&flows[turn], turn, 1, bytes);
      turn = (turn + 1) % count;
    }
    int ready = epoll_wait(set, events, EVENTS, rate > 0 ? 0 : 20);
    for (int k = 0; k < ready; k++) {
      int i = events[k].data.u32, read = 0;
      Flow *flow = &flows[i];
      while (recv(flow->fd, in, sizeof in, 0) >= 0) {
        if (memcmp(in, &i, sizeof i) != 0) wrong++;
        read++;
        if (flow->out > 0) flow->out--;
      }
      got += read;
      if (read > 0 && waited < SAMPLES) waits[waited++] = now() - flow->sent;
      if (rate <= 0 && read > 0 && flow->out == 0) ask(flow, i, window, bytes);
    }
    double t = now();
    if (rate > 0 || t < look) continue;
    look = t + LOST;
    for (int i = 0; i < count; i++) {
      if (t - flows[i].sent < LOST) continue;
      lost += flows[i].out;
      flows[i].out = 0;
      ask(&flows[i], i, window, bytes);
    }
  }
  qsort(waits, waited, sizeof *waits, compare);
  printf("{\"got\":%ld,\"wrong\":%ld,\"lost\":%ld,\"p99Us\":%.1f}\n", got, wrong, lost, waited ? waits[waited * 99 / 100] * 1e6 : 0);
  return 0;
}

/** A datagram from ever new addresses and ports of 127.0.0.0/8, until it is killed. */
static int flood(int port) {
  struct sockaddr_in address = local(port);
  unsigned seed = 1;
  for (;;) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    seed = seed * 1664525 + 1013904223;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f100000 | (seed >> 12))};
    if (bind(fd, (void *)&from, sizeof from) == 0) sendto(fd, message, 64, 0, (void *)&address, sizeof address);
    close(fd);
  }
}

int main(int argc, char **argv) {
  if (argc == 3 && !strcmp(argv[1], "flood")) return flood(atoi(argv[2]));
  if (argc == 3 && !strcmp(argv[1], "echo")) return echo(atoi(argv[2]));
  if (argc != 8 || strcmp(argv[1], "load")) return 2;
  return load(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), atoi(argv[5]), atof(argv[6]), atof(argv[7]));
}
