/* SPDX-License-Identifier: Apache-2.0 */
#include "gg/wake.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)

int64_t gg_clock(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* What the kernel takes; on 32-bit processors the C library's timespec may be
 * of either size, so both are spelt out. Waits are absolute, on the monotonic
 * clock, and not private: the sleeper and the waker are two processes. */
#if defined(SYS_futex_time64) && __SIZEOF_LONG__ == 4
#define FUTEX_CALL SYS_futex_time64
struct kernel_time {
    int64_t seconds;
    int64_t nanoseconds;
};
#else
#define FUTEX_CALL SYS_futex
struct kernel_time {
    long seconds;
    long nanoseconds;
};
#endif

int gg_futex_wait(gg_atomic *word, uint32_t value, int64_t deadline)
{
    struct kernel_time until = {0, 0};
    struct kernel_time *timeout = NULL;

    if (deadline != GG_FOREVER) {
        if (deadline < 0)
            deadline = 0;
        until.seconds = deadline / NS_PER_S;
        until.nanoseconds = deadline % NS_PER_S;
        timeout = &until;
    }
    if (syscall(FUTEX_CALL, (void *)word, FUTEX_WAIT_BITSET, value, timeout,
                NULL, FUTEX_BITSET_MATCH_ANY) == 0)
        return GG_OK;
    switch (errno) {
    case EAGAIN:
        return GG_OK;
    case ETIMEDOUT:
        return GG_ETIMEOUT;
    case EINTR:
        return GG_EINTR;
    default:
        return GG_ESYSTEM;
    }
}

void gg_futex_wake(gg_atomic *word)
{
    (void)syscall(FUTEX_CALL, (void *)word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

int gg_event_create(int *fd)
{
    int made = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (made == -1)
        return GG_ESYSTEM;
    *fd = made;
    return GG_OK;
}

void gg_event_ring(int fd)
{
    uint64_t one = 1;
    int error = errno;

    while (write(fd, &one, sizeof one) == -1 && errno == EINTR)
        ;
    errno = error;
}

void gg_spin_init(struct gg_spin *spin, int64_t window_ns)
{
    spin->window_ns = gg_cpus() > 1 ? window_ns : 0;
    gg_store_relaxed(&spin->window, (uint32_t)spin->window_ns);
    gg_store_relaxed(&spin->pause, 0);
    gg_store_relaxed(&spin->left, 0);
}

int64_t gg_spin_begin(struct gg_spin *spin, uint32_t peer_cpu)
{
    uint32_t left;

    if (spin->window_ns <= 0 || peer_cpu == 0)
        return 0;
    left = gg_load_relaxed(&spin->left);
    if (left > 0) {
        gg_store_relaxed(&spin->left, left - 1);
        return 0;
    }
    return peer_cpu == gg_cpu() ? 0 : gg_load_relaxed(&spin->window);
}

void gg_spin_end(struct gg_spin *spin, int64_t paid_ns)
{
    int64_t most = GG_SPIN_LONGER * spin->window_ns;
    int64_t window = paid_ns < 0 ? most : 2 * paid_ns;
    uint32_t pause = 0;

    if (paid_ns < 0)
        pause = gg_load_relaxed(&spin->pause) * 2 + 1;
    if (pause > GG_SPIN_MOST)
        pause = GG_SPIN_MOST;
    if (window < spin->window_ns)
        window = spin->window_ns;
    gg_store_relaxed(&spin->window, (uint32_t)(window < most ? window : most));
    gg_store_relaxed(&spin->pause, pause);
    gg_store_relaxed(&spin->left, pause);
}

uint32_t gg_cpu(void)
{
    return (uint32_t)(sched_getcpu() + 1);
}

uint32_t gg_cpus(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);

    return count > 0 ? (uint32_t)count : 1;
}
