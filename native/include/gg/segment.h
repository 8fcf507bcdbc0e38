/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GG_SEGMENT_H
#define GG_SEGMENT_H

#include "gg/ring.h"
#include "gg/status.h"

#include <stddef.h>
#include <stdint.h>

/* The memory that a worker shares with the core: one memfd with a control page
 * and the data of two rings, up (worker to core) and down (core to worker).
 *
 *   file:    | control page | up | down |
 *   mapped:  | control page | up | up | down | down |
 *
 * The core creates it, sealed against shrinking, growing and further seals, so
 * that no access within its size can fault, and allocated beforehand, so that
 * a full machine is found out here and not by SIGBUS. A hole that a peer
 * punches into it reads as zeros, like anything else it might write.
 *
 * The mapping does not pass over fork(): a child has nothing at its place. */

#define GG_SEGMENT_MAGIC UINT32_C(0x31474747) /* "GGG1" in the file */

/* Where one end says that it sleeps; wake.h. */
struct gg_park {
    /* written by: both, read-modify-write; enum gg_want */
    gg_atomic word;
    /* written by: the other end; read by: who parks here (seq). Counts what
     * was sent to it by other ways than the ring. */
    gg_atomic news;
    uint8_t gap[GG_LINE - 8];
};

/* The control page, from its beginning. Readers go by their own copy of the
 * first line, made and checked when they attached. */
struct gg_control {
    /* written by: core, before anybody else has the segment */
    struct gg_geometry {
        uint32_t magic;
        uint32_t up_capacity;
        uint32_t down_capacity;
    } geometry;
    uint8_t gap[GG_LINE - 12];
    struct gg_ring_shared up;
    struct gg_ring_shared down;
    struct gg_park worker;
    struct gg_park core;
};

/* A mapped segment, in private memory. */
struct gg_segment {
    struct gg_control *control;
    uint8_t *up;
    uint8_t *down;
    void *base;
    size_t size;
    uint32_t up_capacity;
    uint32_t down_capacity;
};

/* Create a segment and map it. *fd is the caller's to pass on and to close; the
 * mapping does without. Capacities as gg_ring_init() wants them.
 * Returns GG_EINVAL, or GG_ESYSTEM with errno. */
GG_NODISCARD int gg_segment_create(struct gg_segment *segment,
                                   uint32_t up_capacity,
                                   uint32_t down_capacity, int *fd);

/* Map the segment behind `fd`, which the caller may close afterwards.
 * Returns GG_ESEGMENT when it is none (no memfd, other seals, a size that is
 * not what its first line says), or GG_ESYSTEM with errno. */
GG_NODISCARD int gg_segment_attach(struct gg_segment *segment, int fd);

/* Unmap. Nothing may point into the segment any more. Does nothing to one that
 * is not mapped. Not for the child of a fork, where others may live now. */
void gg_segment_unmap(struct gg_segment *segment);

#endif
