/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GG_WAKE_H
#define GG_WAKE_H

#include "gg/atomic.h"
#include "gg/ring.h"
#include "gg/status.h"

#include <stdint.h>

/* Sleeping and waking. Whoever is about to sleep says so in a park word, looks
 * once more, and sleeps; whoever has done something looks at the other end's
 * word and makes a system call only if somebody sleeps there. atomic.h argues
 * why no wake-up is lost.
 *
 *   worker: sleeps on its word itself (futex), or in poll() on its socket
 *   core:   sleeps in epoll_wait() on eventfds, one a worker
 *
 * The core never blocks on anything a worker can touch: an eventfd is only
 * written by the worker and never read (edge-triggered), a futex only woken. */

/* Bits of a park word: what the sleeper wants, and where it sleeps. */
enum gg_want {
    GG_WANT_DATA = 1,  /* a frame in the ring, or news */
    GG_WANT_ROOM = 2,  /* space in the other ring */
    GG_WANT_SOCKET = 4, /* it sleeps in poll(): a futex does not wake it */
    GG_WANT_SOON = 8 /* what DATA is, but it will look by itself in a moment */
};

/* Deadlines: nanoseconds of CLOCK_MONOTONIC. */
#define GG_FOREVER INT64_MAX
/* In place of a deadline: as 0, and nobody waits for it, so a reader that will
 * look in a moment (GG_WANT_SOON) need not be woken. */
#define GG_SOON INT64_C(-1)

/* Nanoseconds of CLOCK_MONOTONIC. */
int64_t gg_clock(void);

/* --- park words --- */

/* Say that we sleep for this. Look again before you do. */
static inline void gg_park_set(gg_atomic *word, uint32_t want)
{
    (void)gg_or_seq(word, want);
}

/* Ask whether the other end sleeps for one of these, after what it wants was
 * stored by gg_store_seq(). Returns what it said, then it is ours to wake, or
 * 0. Bits that nobody defined are dropped. */
static inline uint32_t gg_park_take(gg_atomic *word, uint32_t offered)
{
    if ((gg_load_seq(word) & offered) == 0)
        return 0;
    return gg_swap_seq(word, 0) &
           (GG_WANT_DATA | GG_WANT_ROOM | GG_WANT_SOCKET | GG_WANT_SOON);
}

/* --- futex --- */

/* Sleep while *word is `value`. Returns GG_OK when woken or when it is not,
 * GG_ETIMEOUT, GG_EINTR after a signal, GG_ESYSTEM. May wake for no reason. */
GG_NODISCARD int gg_futex_wait(gg_atomic *word, uint32_t value,
                               int64_t deadline);

/* Wake everybody who sleeps there, in any process. */
void gg_futex_wake(gg_atomic *word);

/* --- eventfd --- */

/* Make one for a worker to ring and the core to watch. GG_ESYSTEM. */
GG_NODISCARD int gg_event_create(int *fd);

/* Cause an edge. Cannot block; a counter that the worker itself filled up is
 * its own loss. */
void gg_event_ring(int fd);

/* --- spinning ---
 *
 * A waiter that expects its reply within microseconds saves two wakes by
 * looking again and again. Everybody else pays for it, so: only for a caller
 * that waits for a reply, for a short time, and only while it pays. After a
 * spin in vain the next one is left out, then the next three, seven, up to 63;
 * after one that paid there is no pause.
 *
 * The time is `window_ns`; after a spin in vain it is four times that, because
 * both sides have slept then and are slow, and after one that paid twice what
 * that took, within these bounds. */

enum { GG_SPIN_MOST = 63, GG_SPIN_LONGER = 4 };

struct gg_spin {
    int64_t window_ns; /* 0: never; one processor, a quota, battery */
    /* Relaxed: two threads may wait at once, and only the odds suffer. */
    gg_atomic window; /* the next one, in nanoseconds */
    gg_atomic pause;  /* calls left out after the last spin in vain */
    gg_atomic left;   /* of them, still to be left out */
};

void gg_spin_init(struct gg_spin *spin, int64_t window_ns);

/* How long to spin now for a peer that last ran on `peer_cpu` (1 + its number;
 * 0: unknown), in nanoseconds; 0 for not at all. Not on the processor that the
 * peer needs to answer us. */
GG_NODISCARD int64_t gg_spin_begin(struct gg_spin *spin, uint32_t peer_cpu);

/* Tell after how many nanoseconds it paid; negative: it did not. */
void gg_spin_end(struct gg_spin *spin, int64_t paid_ns);

/* 1 + the processor that we run on, 0 if the system does not tell. */
uint32_t gg_cpu(void);

/* How many processors the machine has. Not those that this thread may run on:
 * the peer may be on others, and gg_spin_begin() sees when it is not. */
uint32_t gg_cpus(void);

#endif
