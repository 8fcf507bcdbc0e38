/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GG_BENCH_H
#define GG_BENCH_H

/* What the floors share: processes that are pinned, figures, JSON. A floor that
 * cannot be measured ends the program: half a table would pass for a whole. */

#include "gg/port.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MUST(condition)                                                        \
    do {                                                                       \
        if (!(condition)) {                                                    \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__,           \
                          #condition);                                         \
            exit(1);                                                           \
        }                                                                      \
    } while (0)

/* Where the three processes run. */
struct pins {
    const char *name;
    int client;
    int router;
    int server;
};

/* Run on one processor; -1: anywhere. */
static inline void pin(int cpu)
{
    cpu_set_t set;

    if (cpu < 0)
        return;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    MUST(sched_setaffinity(0, sizeof set, &set) == 0);
}

static inline pid_t start(int cpu)
{
    pid_t child = fork();

    MUST(child != -1);
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(cpu);
    }
    return child;
}

static inline void finish_child(pid_t child)
{
    int status = 0;

    (void)kill(child, SIGKILL);
    MUST(waitpid(child, &status, 0) == child);
}

/* A worker's channel: the segment's descriptor, so that each process attaches
 * for itself, and the core's end in the router. */
struct lane {
    int fd;
    int event;
    int sockets[2];
};

static inline void lane_open(struct lane *lane, struct gg_segment *segment,
                             uint32_t capacity)
{
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, lane->sockets) == 0);
    MUST(gg_event_create(&lane->event) == GG_OK);
    MUST(gg_segment_create(segment, capacity, capacity, &lane->fd) == GG_OK);
}

static inline void lane_close(struct lane *lane)
{
    (void)close(lane->fd);
    (void)close(lane->event);
    (void)close(lane->sockets[0]);
    (void)close(lane->sockets[1]);
}

static inline void lane_attach(const struct lane *lane, struct gg_port *port,
                               int64_t spin_ns)
{
    struct gg_segment segment;

    MUST(gg_segment_attach(&segment, lane->fd) == GG_OK);
    MUST(gg_port_init(port, &segment, GG_SIDE_WORKER, lane->event,
                      lane->sockets[1], spin_ns) == GG_OK);
}

static inline int compare_times(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left;
    int64_t b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

/* Whether rows of this name, or that begin with it, were asked for. */
int wanted(const char *name);

/* One line of the result; `more` is further JSON members or "". */
void row(const char *name, const char *unit, double value, const char *more);

/* Times that a child measures, for its parent to report. */
static inline int64_t *shared_times(int count)
{
    int64_t *times = mmap(NULL, (size_t)count * sizeof *times,
                          PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                          -1, 0);

    MUST(times != MAP_FAILED);
    return times;
}

/* Sort and report times of round trips, in microseconds. */
static inline void row_of_times(const char *name, int64_t *times, int count)
{
    char more[100];

    qsort(times, (size_t)count, sizeof *times, compare_times);
    (void)snprintf(more, sizeof more, ", \"p99\": %.4g, \"count\": %d",
                   (double)times[count * 99 / 100] / 1000, count);
    row(name, "us", (double)times[count / 2] / 1000, more);
}

void bench_publish(void);
void bench_relay(int quick);
void bench_round_trips(int turns);
void bench_sockets(int turns);
void bench_bulk(void);

#endif
