/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GG_PORT_H
#define GG_PORT_H

#include "gg/bulk.h"
#include "gg/ring.h"
#include "gg/segment.h"
#include "gg/status.h"
#include "gg/wake.h"

#include <pthread.h>
#include <stdint.h>

/* One end of a worker's channel: frames out, frames in, sleep and wake, over a
 * segment, an eventfd and a socket.
 *
 * Threads. Any number may send, wait, interrupt and close at once; one at a
 * time receives, from gg_port_receive...() to gg_port_release(). Every call
 * but gg_port_free() may meet gg_port_close() of another thread: it returns
 * GG_ECLOSED, and the segment is unmapped when the last one is out.
 * In the child of a fork every call returns GG_EFORKED; the child may free.
 *
 * A frame of up to half a ring lies in the ring. A larger one goes as a bulk
 * message (bulk.h) with its topic and context in the ring.
 *
 * Signals. A call that sleeps returns GG_EINTR after a signal, so that the
 * interpreter can run its handlers, and at least once a second, because the
 * signal may have come just before it fell asleep. */

enum gg_side {
    GG_SIDE_WORKER = 0, /* writes up, reads down; sleeps on a futex */
    GG_SIDE_CORE = 1    /* writes down, reads up; never blocks */
};

/* A frame in place: offsets into the data of the ring, gg_port_data(). Each
 * field ends where the next begins. No padding: an array of these is read in
 * one go from Python. */
struct gg_port_view {
    uint64_t id;
    uint32_t topic;
    uint32_t context;
    uint32_t payload;
    uint32_t end;
    uint32_t endpoint;
    /* 0, or the payload is in a descriptor. If `end` is not the end of its
     * reference, that has an offset, and lent bytes end the payload. */
    uint32_t bulk_size;
    uint32_t bulk_number;
    uint8_t kind;
    uint8_t flags;
    uint16_t zero;
};

/* One frame, its header and topic in private memory. */
struct gg_received {
    struct gg_header header;
    struct gg_reference bulk;
    const uint8_t *context; /* in the ring, until gg_port_release() */
    const uint8_t *payload; /* the same */
    uint32_t payload_size;
    uint8_t topic[GG_MAX_TOPIC];
};

/* In the caller's memory, at one address until gg_port_free(). What sending
 * threads change and what the receiving one changes stand on lines apart. */
struct gg_port {
    struct gg_segment segment;
    struct gg_park *mine;   /* where this end sleeps */
    struct gg_park *theirs; /* where the other one does */
    const volatile uint32_t *guard;
    enum gg_side side;
    int event;
    int socket;
    /* written by: any thread. How many are inside, and GG_PORT_... bits. */
    gg_atomic users;
    /* written by: any thread. Counts gg_port_interrupt(). */
    gg_atomic alarms;
    struct gg_spin spin;
    uint8_t gap_out[GG_LINE];

    /* Of who holds the mutex. */
    pthread_mutex_t sending;
    struct gg_ring out;
    uint32_t bulk_taken;  /* of those sent, by the peer; accepted */
    gg_atomic produced;   /* what `out` has staged; read by: who waits */
    gg_atomic bulk_sent;  /* read by: who waits */
    uint32_t cpu;         /* what the peer was told */
    uint8_t gap_in[GG_LINE];

    /* Of who receives. */
    struct gg_ring in;
    uint32_t bulk_received;
    uint32_t bulk_batch; /* of them, not released yet */
    gg_atomic consumed;  /* what `in` has staged; read by: who waits */
    gg_atomic news_seen; /* read by: who waits */
};

/* Open one end.
 *
 * Takes over the mapping of `segment`, also on failure. `event` is what a
 * worker rings (the core: -1), `socket` what bulk messages go over; -1 for
 * none. Both stay the caller's and must outlive the port. `spin_ns` is the
 * longest spin, 0 for none. Returns GG_ESYSTEM with errno. */
GG_NODISCARD int gg_port_init(struct gg_port *port, struct gg_segment *segment,
                              enum gg_side side, int event, int socket,
                              int64_t spin_ns);

/* End all calls of all threads. Any thread; may be called again. When it
 * returns, nobody sends any more, so that `event` and, once no thread is in a
 * wait, `socket` can be closed. Returns GG_EFORKED in the child of a fork,
 * where it does nothing. */
int gg_port_close(struct gg_port *port);

/* Close, and give back what is left. No other call may be under way; later
 * ones, while there is the memory, return GG_ECLOSED. */
void gg_port_free(struct gg_port *port);

/* --- sending --- */

/* Send one frame whole, or nothing of it.
 *
 * While there is no room it sleeps until `deadline`; with 0 or GG_SOON, and
 * always in the core, it does not. The other end is woken if it sleeps; with
 * GG_SOON not if it will look by itself.
 * Returns GG_AGAIN (no room, and not to wait), GG_ETIMEOUT, GG_EINTR, what
 * gg_header_check() finds, GG_ELENGTH also for a payload of more than
 * GG_BULK_MOST or a context beside which nothing fits into the ring, GG_ERING,
 * GG_ESYSTEM, GG_ECLOSED, GG_EFORKED. */
GG_NODISCARD int gg_port_send(struct gg_port *port, uint8_t kind, uint8_t flags,
                              uint32_t endpoint, uint64_t id,
                              const void *topic, uint16_t topic_size,
                              const void *context, uint32_t context_size,
                              const void *payload, uint32_t payload_size,
                              int64_t deadline);

/* Where in a file bytes are that are lent, and what goes in front of them. */
struct gg_lent {
    uint64_t offset;
    const void *head;
    uint32_t head_size;
};

/* Send a frame whose payload is all of a sealed memfd, or ends with bytes that
 * are lent, unless that is NULL. The descriptor stays the caller's: forwarded,
 * not copied. `header` tells the other sizes. Never sleeps; else as
 * gg_port_send() for a payload of `size` bytes. */
GG_NODISCARD int gg_port_pass(struct gg_port *port,
                              const struct gg_header *header, const void *topic,
                              const void *context, int bulk, uint32_t size,
                              const struct gg_lent *lent);

/* Put a frame into the ring without showing it yet, for many in a burst: one
 * store and one wake-up for all of them. The next gg_port_flush() or
 * gg_port_send() shows them; until then the peer cannot make room for more, so
 * flush on GG_AGAIN. `header` tells all sizes; its kind may have GG_WIPE, as
 * that of gg_port_pass(). Never sleeps; GG_ELENGTH for a
 * frame that is not for the ring. Else as gg_port_send(). */
GG_NODISCARD int gg_port_stage(struct gg_port *port,
                               const struct gg_header *header,
                               const void *topic, const void *context,
                               const void *payload);

/* Show the other end what was staged. GG_ECLOSED, GG_EFORKED. */
int gg_port_flush(struct gg_port *port);

/* --- receiving --- */

/* Find up to `capacity` frames, at least one, then no more than `max_bytes`
 * in all; sleep until there is one or until `deadline` (0: do not sleep).
 *
 * Returns how many are in `views`; they stay in place until gg_port_release(),
 * which must follow; nobody else may receive before. With `spin`, the caller
 * waits for a reply: it may spin first.
 * Returns GG_AGAIN, GG_ETIMEOUT, GG_EINTR (also for news), GG_ERING,
 * GG_ETORN, GG_EBULK, what gg_header_check() finds, GG_EINVAL while frames are
 * not released, GG_ECLOSED, GG_EFORKED. Good frames in front of a bad one are
 * returned first. */
GG_NODISCARD int gg_port_receive_batch(struct gg_port *port,
                                       struct gg_port_view *views,
                                       uint32_t capacity, uint32_t max_bytes,
                                       int64_t deadline, int spin);

/* The same without sleep, and up to the first bulk message: GG_AGAIN in front
 * of one, and while there is news that gg_port_hear() would tell. */
GG_NODISCARD int gg_port_receive_inline(struct gg_port *port,
                                        struct gg_port_view *views,
                                        uint32_t capacity, uint32_t max_bytes);

/* The same for one frame, without sleep: GG_OK, or GG_AGAIN. */
GG_NODISCARD int gg_port_receive(struct gg_port *port,
                                 struct gg_received *received);

/* Give the space of what was received back. Wakes a sender that waits for room
 * when half the ring is free. Does nothing if nothing was received. */
void gg_port_release(struct gg_port *port);

/* What the offsets of a view count from; 2 * capacity bytes, mapped until
 * gg_port_release(). */
const uint8_t *gg_port_data(const struct gg_port *port, uint32_t *size);

/* --- waiting --- */

/* Sleep until one of `want` (enum gg_want) is there, for GG_WANT_ROOM a frame
 * of `need` bytes; until gg_port_alarms() is no longer `alarms`; or until
 * `deadline`.
 *
 * Returns which are there. Who wants data is also told, by GG_WANT_SOCKET, that
 * something may have arrived on the socket: until gg_port_hear() is called, or
 * because the socket was found readable. Returns GG_ETIMEOUT, GG_EINTR,
 * GG_ESYSTEM, GG_ECLOSED, GG_EFORKED. */
GG_NODISCARD int gg_port_wait(struct gg_port *port, uint32_t want,
                              uint32_t need, uint32_t alarms, int64_t deadline,
                              int spin);

/* Say that this end sleeps elsewhere: the core in epoll_wait(), a worker with
 * GG_WANT_SOCKET in poll(). Returns GG_AGAIN when it may now sleep, else as
 * gg_port_wait(). With GG_WANT_SOON in place of GG_WANT_DATA it must not sleep
 * for long: what was sent with GG_SOON does not wake it. */
GG_NODISCARD int gg_port_park(struct gg_port *port, uint32_t want,
                              uint32_t need);

/* Wake this end's sleepers, who return GG_EINTR. Any thread. */
int gg_port_interrupt(struct gg_port *port);
uint32_t gg_port_alarms(const struct gg_port *port);

/* Tell the other end that something was sent over the socket. */
int gg_port_tell(struct gg_port *port);

/* Whether the other end told so since the last call of this, which comes
 * before the socket is read, and not the other way round. */
GG_NODISCARD int gg_port_hear(struct gg_port *port);

#endif
