/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GG_RING_H
#define GG_RING_H

#include "gg/atomic.h"
#include "gg/frame.h"
#include "gg/status.h"

#include <stddef.h>
#include <stdint.h>

/* A byte ring for one producer and one consumer, who may be processes that do
 * not trust each other.
 *
 * The data lies in memory twice, back to back (segment.h maps it so): a frame
 * that runs over the end goes on in the second mapping, and everything is
 * contiguous for both ends. There is no wrap record.
 *
 * Indices run free over 32 bits; the place of one is its value modulo the
 * capacity. Each end has a `struct gg_ring` in private memory. It works with
 * its own indices from there and only ever writes the shared copy, so the peer
 * cannot change them. The peer's index is loaded once for each look, and
 * accepted only if it moves forward within capacity; else the status is
 * GG_ERING, and the peer broke the contract.
 *
 * What a peer wrote between two indices is as hostile as the indices:
 * gg_ring_read() copies the header once and checks the copy.
 *
 * One thread at a time on each end. */

#define GG_RING_LEAST (UINT32_C(64) << 10)
#define GG_RING_MOST (UINT32_C(64) << 20)
#define GG_LINE 128 /* two lines of 64: processors prefetch them in pairs */

struct gg_ring_shared {
    /* written by: producer; read by: consumer (acquire) */
    gg_atomic tail;
    /* written by: producer; read by: consumer (relaxed). 1 + the processor. */
    gg_atomic cpu;
    uint8_t gap_tail[GG_LINE - 8];
    /* written by: consumer; read by: producer (acquire) */
    gg_atomic head;
    /* written by: consumer; read by: producer (acquire). Bulk messages whose
     * descriptor was taken off the socket. */
    gg_atomic taken;
    uint8_t gap_head[GG_LINE - 8];
};

/* One end. */
struct gg_ring {
    struct gg_ring_shared *shared;
    uint8_t *data; /* 2 * capacity */
    uint32_t capacity;
    uint32_t own;    /* index the peer was told */
    uint32_t staged; /* index behind what was reserved, or read */
    uint32_t peer;   /* index the peer told, accepted */
    uint32_t wipe;   /* whether what was read is wiped when it is released */
};

/* Begin with an empty ring. `shared` and `data` must outlive `ring`, and both
 * words of `shared` be zero. Returns GG_EINVAL unless `capacity` is a power of
 * two from GG_RING_LEAST to GG_RING_MOST. */
GG_NODISCARD int gg_ring_init(struct gg_ring *ring,
                              struct gg_ring_shared *shared, uint8_t *data,
                              uint32_t capacity);

/* The longest frame that travels in the ring: half of it, so that one always
 * finds room while another is read. */
static inline uint32_t gg_ring_inline(uint32_t capacity)
{
    return capacity / 2;
}

/* --- producer --- */

/* Reserve the next `size` bytes, behind what is already reserved.
 *
 * On GG_OK *at points into the ring, `size` bytes that nobody else touches
 * until gg_ring_commit(). Returns GG_AGAIN when there is no room, GG_EINVAL
 * when there never will be, GG_ERING. Never blocks. */
GG_NODISCARD int gg_ring_reserve(struct gg_ring *ring, uint32_t size,
                                 uint8_t **at);

/* Show the consumer everything that was reserved. The store is sequentially
 * consistent: look at the peer's park word next. */
void gg_ring_commit(struct gg_ring *ring);

/* Forget what was reserved and not committed. */
void gg_ring_rollback(struct gg_ring *ring);

/* How many bytes can be reserved; GG_ERING. */
GG_NODISCARD int gg_ring_room(struct gg_ring *ring, uint32_t *size);

/* --- consumer --- */

/* Find the bytes that were committed and not read yet.
 *
 * On GG_OK *at points into the ring, *size bytes (more than none) in one
 * piece, which the producer should no longer change but may. Returns GG_AGAIN
 * when there are none, GG_ERING. Never blocks. */
GG_NODISCARD int gg_ring_peek(struct gg_ring *ring, const uint8_t **at,
                              uint32_t *size);

/* Step over `size` of the bytes that gg_ring_peek() found. They stay in place
 * until gg_ring_release(). */
void gg_ring_skip(struct gg_ring *ring, uint32_t size);

/* Read the header of the next frame and step over the frame.
 *
 * On GG_OK *header is a private copy that has been checked, with kind free of
 * GG_BULK and GG_WIPE; *at points behind the header in the ring: topic, context, payload,
 * in place until gg_ring_release(). *bulk tells whether GG_BULK was set: then
 * the payload of the frame is a struct gg_reference of bulk.h.
 * Returns GG_AGAIN, GG_ERING, what gg_header_check() found, or GG_ETORN for a
 * frame that is not there as a whole, which no honest producer commits. */
GG_NODISCARD int gg_ring_read(struct gg_ring *ring, struct gg_header *header,
                              const uint8_t **at, int *bulk);

/* Give the space of everything that was read back to the producer. The store
 * is sequentially consistent: look at the peer's park word next. */
void gg_ring_release(struct gg_ring *ring);

/* Whether gg_ring_peek() would find bytes, in the order that parking needs. */
GG_NODISCARD int gg_ring_ready(struct gg_ring *ring);

/* --- bulk messages; bulk.h --- */

/* Set in the kind of a frame whose payload is a reference to a descriptor. */
#define GG_BULK 0x80

/* --- secrets --- */

/* Set in the kind of a frame that must not outlive its delivery: its bytes are
 * overwritten with zeros before gg_ring_release() gives their space back. */
#define GG_WIPE 0x40

#endif
