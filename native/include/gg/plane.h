/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GG_PLANE_H
#define GG_PLANE_H

#include "gg/port.h"
#include "gg/router.h"

/* The message plane of a core: the router, the rings of its workers, and the
 * loop of the one thread that moves frames between them.
 *
 * Peers. A ring peer is connected by gg_plane_connect(): the plane reads its
 * ring and its socket, and puts frames for it into its ring. All other peers,
 * and the core itself, are driven by the owner: their frames come in by
 * gg_plane_receive(), and frames for them wait in the inbox.
 *
 * The lock. The router is shared, not sent commands: whoever has something for
 * it takes the lock, tells it, and makes its turn, in which every output goes
 * where it belongs: into a ring, or into the inbox of the owner. So what the
 * owner publishes reaches a worker without a switch of threads. The lock is
 * fair between two (whoever waits at the gate is next), and held for bounded
 * work: one call, or one batch of one peer.
 *
 * Threads. One thread runs gg_plane_run(); any may call the rest, one at a time
 * gg_plane_take(), gg_plane_wait() and gg_plane_connect(), none while or after
 * gg_plane_free().
 * Without a thread in gg_plane_run() all calls do what they say, rings are read
 * by gg_plane_drain() alone, and deadlines fire in gg_plane_take().
 *
 * Nothing here blocks on a peer. What does not fit into a ring waits in memory,
 * bounded in bytes, in order; a peer that lets more wait is cut off, as is one
 * that breaks its ring, its socket, or its allowance of wake-ups. */

struct gg_plane;

struct gg_plane_options {
    struct gg_router_options router;
    uint64_t inbox_bytes;  /* of records that wait for the owner */
    uint64_t unread_bytes; /* of frames that wait for one ring peer */
};

/* GG_ENOMEM. Makes no system call: what is not opened is a router with a lock
 * and an inbox. */
GG_NODISCARD int gg_plane_new(const struct gg_plane_options *options,
                              struct gg_plane **plane);

/* Get ready for ring peers, the thread and gg_plane_fd(); once. GG_EINVAL the
 * second time, GG_ESYSTEM with errno. */
GG_NODISCARD int gg_plane_open(struct gg_plane *plane);

/* Close all ring peers and everything else. gg_plane_run() has returned. */
void gg_plane_free(struct gg_plane *plane);

/* --- the thread --- */

/* Move frames and fire deadlines until gg_plane_stop(), also one that came
 * first. Signals of the thread are the caller's to block. */
void gg_plane_run(struct gg_plane *plane);
void gg_plane_stop(struct gg_plane *plane);

/* --- the owner: waiting ---
 *
 * Wait as epoll_wait() would for `epoll`, the owner's own set, which has
 * gg_plane_fd() in it, and move frames meanwhile in place of the thread; not at
 * all with a timeout of 0, forever with a negative one. Also returns, with 0,
 * when a signal came. The first call tells the plane to expect more: the thread
 * then sleeps while the owner waits, and for a fraction of a millisecond when
 * it does not. Frames that come in that time wait. After a longer one the thread
 * moves the frames for some milliseconds, whatever the owner does. */
enum gg_found {
    GG_HAS_NEWS = 1,  /* gg_plane_take() has something, untold by gg_plane_fd() */
    GG_IS_READY = 2,  /* `epoll` has something */
    GG_IS_NOT_LED = 4 /* the thread moves the frames: wait for `epoll` alone */
};
int gg_plane_wait(struct gg_plane *plane, int epoll, int64_t timeout_ns);

/* --- the owner: outputs --- */

/* Readable when the inbox has records, until gg_plane_take() has handed out the
 * last one. */
int gg_plane_fd(const struct gg_plane *plane);

/* A word that is not 0 while gg_plane_take() would hand out something that has
 * come, or a counter, or make gg_plane_fd() silent. Deadlines have no part in it: without a thread,
 * gg_plane_take() is to be asked. */
const uint32_t *gg_plane_waits(const struct gg_plane *plane);

struct gg_taken {
    uint64_t used; /* bytes of the buffer; with GG_ENOSPC, those needed */
    uint64_t left; /* records that wait */
    uint64_t rows; /* that counted, for gg_plane_counted() */
};

/* Fire the deadlines that have come; then write the records of the inbox, as
 * gg_router_drain() does, as many as fit.
 *
 * Of GG_SEND there are only those for peers that the owner drives; to the types
 * of enum gg_output_type come those below. When more than `inbox_bytes` wait,
 * GG_TAPPED (at an eighth of it), GG_UNROUTED and GG_FINISHED are left out and
 * counted in GG_SKIPPED, and messages for peers that the owner drives wait in
 * the router.
 *
 * Returns what went wrong since the last call, then other records follow by the
 * next one: GG_ENOMEM (nothing is lost), GG_EENDPOINT (a row leads nowhere). */
GG_NODISCARD int gg_plane_take(struct gg_plane *plane, double now,
                               uint8_t *buffer, size_t size,
                               struct gg_taken *taken);

enum gg_plane_output {
    GG_CONTROL_FRAME = 10, /* of a ring peer; all fields of the frame */
    GG_ENDED = 11,         /* peer: it ended its connection */
    GG_SKIPPED = 12        /* id: how many records were left out here */
};

/* --- the owner: ring peers --- */

/* Connect a ring peer by `socket`, with rings of `ring_bytes` each way.
 *
 * On GG_OK the socket is the plane's, and *segment and *event, the worker's
 * ends, are the caller's to pass on and close. The ring is read once the router
 * knows the peer, by gg_plane_attach() or gg_plane_attach_worker(). Returns
 * GG_EINVAL for a size that no ring has, a peer that is connected and a plane
 * that is not open, GG_ENOMEM, GG_ESYSTEM with errno; then the socket is still the caller's. */
GG_NODISCARD int gg_plane_connect(struct gg_plane *plane, uint32_t peer,
                                  int socket, uint32_t ring_bytes, int *segment,
                                  int *event);

/* Receive what a ring peer committed until now; no more, because a child that
 * it left behind may go on writing. Does nothing for other peers. */
void gg_plane_drain(struct gg_plane *plane, uint32_t peer);

/* Drain a ring peer and close its connection. The router still knows it: see
 * gg_plane_detach(). Does nothing for other peers; one that was cut off is
 * disconnected already. */
void gg_plane_disconnect(struct gg_plane *plane, uint32_t peer);

/* Send a ring peer a frame past the router; `frame` counts its offsets from
 * `data`. Does nothing for other peers. GG_EINVAL, GG_ENOMEM. */
GG_NODISCARD int gg_plane_send(struct gg_plane *plane, uint32_t peer,
                               const uint8_t *data,
                               const struct gg_frame *frame);

/* Whether this is a ring peer, whether frames wait for it, and whether its end
 * of the socket is closed, be that told yet or not. */
enum { GG_IS_CONNECTED = 1, GG_IS_STALLED = 2, GG_HAS_HUNG_UP = 4 };
int gg_plane_peer_state(struct gg_plane *plane, uint32_t peer);

/* --- the owner: the router; see router.h ---
 *
 * The function of the same name there, with the lock, and the turn behind it.
 * `router.h` says "the next call": what the router leaves behind is copied out
 * before the lock is given up. */

GG_NODISCARD int gg_plane_define_function(struct gg_plane *plane,
                                          uint32_t endpoint,
                                          const struct gg_rules *rules,
                                          const uint8_t *name, size_t size);
GG_NODISCARD int gg_plane_name_function(struct gg_plane *plane,
                                        uint32_t endpoint, const uint8_t *name,
                                        size_t size);
GG_NODISCARD int gg_plane_define_peer(struct gg_plane *plane, uint32_t endpoint,
                                      uint64_t queue_items,
                                      uint64_t queue_bytes);
GG_NODISCARD int
gg_plane_install(struct gg_plane *plane, const struct gg_index *index,
                 uint32_t capacity, const struct gg_route *routes,
                 uint32_t count, const uint8_t *text, size_t text_size);
GG_NODISCARD int gg_plane_counted(struct gg_plane *plane, struct gg_route *rows,
                                  uint32_t capacity);
void gg_plane_refuse(struct gg_plane *plane); /* gg_router_stop() */
void gg_plane_tap(struct gg_plane *plane, int on);
GG_NODISCARD int gg_plane_attach(struct gg_plane *plane, uint32_t peer,
                                 uint32_t endpoint);
GG_NODISCARD int gg_plane_attach_worker(struct gg_plane *plane, uint32_t peer,
                                        uint32_t endpoint, double now);
GG_NODISCARD int gg_plane_worker_failed(struct gg_plane *plane,
                                        uint32_t endpoint,
                                        const uint8_t *document, size_t size,
                                        double now);
void gg_plane_close(struct gg_plane *plane, uint32_t peer);
GG_NODISCARD int gg_plane_detach(struct gg_plane *plane, uint32_t peer,
                                 const uint8_t *document, size_t size,
                                 double now);
GG_NODISCARD int gg_plane_cut(struct gg_plane *plane, uint32_t peer,
                              const uint8_t *reason, size_t size, double now);
GG_NODISCARD int gg_plane_hold(struct gg_plane *plane, uint32_t peer, int held);
GG_NODISCARD int gg_plane_receive(struct gg_plane *plane, uint32_t peer,
                                  const uint8_t *data,
                                  const struct gg_frame *frame, double now);

/* The result of an item; the payloads of several lie one behind the other. Bytes
 * of a file may follow its `size` bytes, `lent` of them from `offset` on: a ring
 * peer is lent them (bulk.h), for others they are read. */
struct gg_ending {
    uint64_t id;
    uint64_t size;
    uint64_t lent;
    uint64_t offset;
    int32_t file; /* taken over when the result is received */
    int32_t zero;
};

/* Receive `count` frames GG_RESULT of a worker, in one turn. Returns how many
 * were received: fewer when memory ran out, then the rest may come again. */
size_t gg_plane_end(struct gg_plane *plane, uint32_t peer, uint32_t endpoint,
                    const uint8_t *payloads, const struct gg_ending *endings,
                    size_t count, double now);
double gg_plane_next_deadline(struct gg_plane *plane);
/* Copies the words, at most `size` bytes; returns how many there are. */
size_t gg_plane_fault(struct gg_plane *plane, uint8_t *buffer, size_t size);
void gg_plane_counts(struct gg_plane *plane, struct gg_router_counts *counts);
int gg_plane_is_busy(struct gg_plane *plane, uint32_t peer);
GG_NODISCARD int gg_plane_snapshot(struct gg_plane *plane, uint32_t endpoint,
                                   uint8_t *buffer, size_t size,
                                   size_t *needed);

#endif
