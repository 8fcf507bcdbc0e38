/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GG_BULK_H
#define GG_BULK_H

#include "gg/frame.h"
#include "gg/status.h"

#include <stddef.h>
#include <stdint.h>

/* Payloads that are too large for a ring: one memfd a message, whose content
 * and size its seals fix for ever, so that the reader can check it once and
 * hand the descriptor on to others.
 *
 * The descriptor goes over the socket, attached to an empty CONTROL frame whose
 * id is its number; then a frame with GG_BULK goes through the ring, with its
 * topic and context, and the reference below as payload. The ring gives the
 * order. Whoever reads the reference finds the descriptor on the socket at
 * once: it was sent first.
 *
 * Nothing is recycled: a sealed memfd cannot be written again, and one without
 * seals could change between the check and the reading.
 *
 * Lent bytes are the exception, in results from the core to a worker alone: the
 * descriptor is one to read a file of the core by, some bytes of which are the
 * payload's. Nothing is copied before the worker reads them, nothing promises
 * that they are still those that were meant, and the file may have fewer: the
 * payload says itself how that is found out. Its reference comes last, behind
 * what of the payload is in the ring, with the offset in the file (u64). */

#define GG_BULK_MOST (UINT32_C(6) << 20)
#define GG_BULK_IN_FLIGHT 8 /* sent and not taken off the socket */

struct gg_reference {
    uint32_t size;
    uint32_t number; /* counts from 1, for each direction */
};

#define GG_REFERENCE_SIZE 8
void gg_reference_read(const uint8_t bytes[GG_REFERENCE_SIZE],
                       struct gg_reference *reference);
void gg_reference_write(uint8_t bytes[GG_REFERENCE_SIZE],
                        const struct gg_reference *reference);

#define GG_LENT_SIZE 16
void gg_lent_write(uint8_t bytes[GG_LENT_SIZE],
                   const struct gg_reference *reference, uint64_t offset);

/* Put `size` bytes into a new sealed memfd, which is the caller's to close.
 * Returns GG_EINVAL for none or more than GG_BULK_MOST, GG_ESYSTEM. */
GG_NODISCARD int gg_bulk_create(const void *data, uint32_t size, int *fd);

/* Check that `fd` is a memfd of this size that nobody can change: GG_EBULK. */
GG_NODISCARD int gg_bulk_check(int fd, uint32_t size);

/* Check it and copy its bytes: GG_EBULK, GG_ESYSTEM. */
GG_NODISCARD int gg_bulk_read(int fd, uint32_t size, void *data);

/* Copy bytes of a file that were lent; those it does not have are zero. */
void gg_lent_read(int fd, uint64_t offset, uint32_t size, void *data);

/* Send an empty CONTROL frame with this id, and the descriptor unless it is
 * -1. Never blocks, never raises SIGPIPE.
 * Returns GG_AGAIN while the socket is full, GG_ECLOSED when the peer is gone,
 * GG_ESYSTEM. */
GG_NODISCARD int gg_bulk_send(int socket, int fd, uint32_t number);

/* Receive bytes of the socket, and a descriptor if one came with them.
 *
 * Returns the number of bytes, 0 at the end of the stream; *fd is -1 or the
 * caller's, closed on exec. Returns GG_AGAIN when there are none, GG_EBULK when
 * more than one descriptor came (all are closed), GG_ESYSTEM. */
GG_NODISCARD int gg_bulk_receive(int socket, void *bytes, uint32_t size,
                                 int *fd);

#endif
