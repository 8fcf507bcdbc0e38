/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GG_FRAME_H
#define GG_FRAME_H

#include "gg/status.h"

#include <stddef.h>
#include <stdint.h>

/* The frame format. 24 bytes little-endian, then topic, context, payload:
 *
 *   0 length u32 (whole frame) | 4 kind u8 | 5 flags u8 | 6 topic length u16
 *   8 context length u32 | 12 endpoint u32 | 16 id u64
 *
 * greengrass_sdk/_native/_py/frames.py tells what kinds and flags mean. */

#define GG_FRAME_HEADER 24
#define GG_MAX_TOPIC 512
#define GG_MAX_CONTEXT 65536

enum gg_kind {
    GG_PUBLISH = 1,
    GG_MESSAGE = 2,
    GG_INVOKE = 3,
    GG_RESULT = 4,
    GG_VERDICT = 5,
    GG_READY = 6,
    GG_CONTROL = 7
};

struct gg_header {
    uint64_t id;
    uint32_t length;
    uint32_t context_size;
    uint32_t endpoint;
    uint16_t topic_size;
    uint8_t kind;
    uint8_t flags;
};

/* A whole, valid frame inside a buffer. The offsets count from the start of
 * the buffer; each field ends where the next one begins. The layout has no
 * padding, so that an array of these is read in one go from Python. */
struct gg_frame {
    uint64_t id;
    uint64_t topic;
    uint64_t context;
    uint64_t payload;
    uint64_t end;
    uint32_t endpoint;
    uint8_t kind;
    uint8_t flags;
    uint16_t zero;
};

/* Take the fields of a header apart; valid or not is for gg_header_check(). */
void gg_header_read(const uint8_t bytes[GG_FRAME_HEADER],
                    struct gg_header *header);

/* Put the fields together. The caller has checked them. */
void gg_header_write(uint8_t bytes[GG_FRAME_HEADER],
                     const struct gg_header *header);

/* Is this what a peer may send, in a frame of at most `max_frame` bytes?
 * Returns GG_OK or the first rule that is broken. */
GG_NODISCARD int gg_header_check(const struct gg_header *header,
                                 uint32_t max_frame);

/* Find the frames of data[start..size), at most `capacity` of them.
 *
 * Returns how many are in `frames`; *next is then the offset behind the last
 * one. Stops before an incomplete frame and before a bad one, and fails with
 * the bad one's status when it is the first: call again from *next to tell the
 * two apart. Neither `data` nor `frames` is kept. */
GG_NODISCARD int gg_frames_decode(const uint8_t *data, size_t size,
                                  size_t start, uint32_t max_frame,
                                  struct gg_frame *frames, uint32_t capacity,
                                  size_t *next);

#endif
