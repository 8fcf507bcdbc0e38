/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GG_BLOCK_H
#define GG_BLOCK_H

#include "gg/status.h"

#include <stddef.h>
#include <stdint.h>

/* Blocks: messages of a stream as they lie on disk and as they are sent; the
 * format is told in greengrass_sdk/wire/blocks.py, which is the same in
 * Python. */

#define GG_BLOCK_HEADER 32

struct gg_block {
    uint64_t first;
    uint64_t time;
    const uint8_t *sizes; /* of the messages, u32 each */
    const uint8_t *body;  /* the messages, one behind the other */
    size_t size;          /* of header and body */
    uint32_t count;
    uint32_t checksum;
};

struct gg_run {
    uint64_t first;
    uint64_t stop;
    uint64_t time; /* of the last block */
    size_t size;
};

/* The size of the message `i` of a block. */
static inline uint32_t gg_block_message(const struct gg_block *block,
                                        uint32_t i)
{
    const uint8_t *at = block->sizes + 4 * (size_t)i;

    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
           (uint32_t)at[3] << 24;
}

/* Continue the CRC-32 `crc` of what came before; 0 begins one. */
uint32_t gg_crc32(uint32_t crc, const void *data, size_t size);

/* Whether this processor has instructions for it. */
int gg_crc32_is_fast(void);

/* Read the block that `size` bytes begin with; nobody looks at its checksum.
 * Returns GG_ELENGTH if it is cut off, GG_EINVAL if there is none. */
GG_NODISCARD int gg_block_read(const uint8_t *data, size_t size,
                               struct gg_block *block);

/* Find the good blocks that `size` bytes begin with and that follow each other
 * without a gap: at most `count` messages. The run has no size if there are
 * none. `salt` is what the checksums of this file begin with. */
void gg_block_run(const uint8_t *data, size_t size, uint32_t salt,
                  uint64_t count, struct gg_run *run);

#endif
