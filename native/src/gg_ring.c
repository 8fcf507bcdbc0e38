/* SPDX-License-Identifier: Apache-2.0 */
#include "gg/ring.h"

#include <string.h>

int gg_ring_init(struct gg_ring *ring, struct gg_ring_shared *shared,
                 uint8_t *data, uint32_t capacity)
{
    if (capacity < GG_RING_LEAST || capacity > GG_RING_MOST ||
        (capacity & (capacity - 1)) != 0)
        return GG_EINVAL;
    ring->shared = shared;
    ring->data = data;
    ring->capacity = capacity;
    ring->own = 0;
    ring->staged = 0;
    ring->peer = 0;
    ring->wipe = 0;
    return GG_OK;
}

/* Differences of free-running indices are right modulo 2^32 as long as they
 * stay below it, and no two honest indices are further apart than the
 * capacity. */

/* Accept the consumer's index if it moved forward, and not beyond what we
 * committed. */
static int accept_head(struct gg_ring *ring, uint32_t head)
{
    if (head - ring->peer > ring->own - ring->peer)
        return GG_ERING;
    ring->peer = head;
    return GG_OK;
}

/* Accept the producer's index if it moved forward, and not beyond the space
 * that it was given. */
static int accept_tail(struct gg_ring *ring, uint32_t tail)
{
    if (tail - ring->own > ring->capacity ||
        tail - ring->own < ring->peer - ring->own)
        return GG_ERING;
    ring->peer = tail;
    return GG_OK;
}

static uint8_t *place(const struct gg_ring *ring, uint32_t index)
{
    return ring->data + (index & (ring->capacity - 1));
}

int gg_ring_reserve(struct gg_ring *ring, uint32_t size, uint8_t **at)
{
    if (size > ring->capacity)
        return GG_EINVAL;
    if (size > ring->capacity - (ring->staged - ring->peer)) {
        int status = accept_head(ring, gg_load_acquire(&ring->shared->head));

        if (status != GG_OK)
            return status;
        if (size > ring->capacity - (ring->staged - ring->peer))
            return GG_AGAIN;
    }
    *at = place(ring, ring->staged);
    ring->staged += size;
    return GG_OK;
}

void gg_ring_commit(struct gg_ring *ring)
{
    ring->own = ring->staged;
    gg_store_seq(&ring->shared->tail, ring->own);
}

void gg_ring_rollback(struct gg_ring *ring)
{
    ring->staged = ring->own;
}

int gg_ring_room(struct gg_ring *ring, uint32_t *size)
{
    int status = accept_head(ring, gg_load_seq(&ring->shared->head));

    if (status == GG_OK)
        *size = ring->capacity - (ring->staged - ring->peer);
    return status;
}

int gg_ring_peek(struct gg_ring *ring, const uint8_t **at, uint32_t *size)
{
    if (ring->peer == ring->staged) {
        int status = accept_tail(ring, gg_load_acquire(&ring->shared->tail));

        if (status != GG_OK)
            return status;
        if (ring->peer == ring->staged)
            return GG_AGAIN;
    }
    *at = place(ring, ring->staged);
    *size = ring->peer - ring->staged;
    return GG_OK;
}

void gg_ring_skip(struct gg_ring *ring, uint32_t size)
{
    ring->staged += size;
}

int gg_ring_read(struct gg_ring *ring, struct gg_header *header,
                 const uint8_t **at, int *bulk)
{
    uint8_t bytes[GG_FRAME_HEADER];
    struct gg_header copy;
    const uint8_t *start = NULL;
    uint32_t wipe;
    uint32_t size = 0;
    int status = gg_ring_peek(ring, &start, &size);

    if (status != GG_OK)
        return status;
    if (size < GG_FRAME_HEADER)
        return GG_ETORN;
    /* The one look at these bytes: what is checked is what is used. */
    gg_copy_once(bytes, start, sizeof bytes);
    gg_header_read(bytes, &copy);
    *bulk = (copy.kind & GG_BULK) != 0;
    wipe = copy.kind & GG_WIPE;
    copy.kind &= (uint8_t)~(GG_BULK | GG_WIPE);
    status = gg_header_check(&copy, gg_ring_inline(ring->capacity));
    if (status != GG_OK)
        return status;
    if (copy.length > size)
        return GG_ETORN;
    ring->staged += copy.length;
    ring->wipe |= wipe;
    *header = copy;
    *at = start + GG_FRAME_HEADER;
    return GG_OK;
}

void gg_ring_release(struct gg_ring *ring)
{
    if (ring->wipe) {
        memset(place(ring, ring->own), 0, ring->staged - ring->own);
        ring->wipe = 0;
    }
    ring->own = ring->staged;
    gg_store_seq(&ring->shared->head, ring->own);
}

int gg_ring_ready(struct gg_ring *ring)
{
    int status;

    if (ring->peer != ring->staged)
        return GG_OK;
    status = accept_tail(ring, gg_load_seq(&ring->shared->tail));
    if (status == GG_OK && ring->peer == ring->staged)
        return GG_AGAIN;
    return status;
}
