/* SPDX-License-Identifier: Apache-2.0 */
#include "gg/block.h"

#include <string.h>

enum { SUMMED = 8 }; /* where what the checksum is of begins */

static uint32_t load32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
           (uint32_t)at[3] << 24;
}

static uint64_t load64(const uint8_t *at)
{
    return load32(at) | (uint64_t)load32(at + 4) << 32;
}

/* Whether the messages fill the body, and none of them is empty. */
static int is_filled(const struct gg_block *block)
{
    uint64_t room = block->size - GG_BLOCK_HEADER;
    uint64_t sum = 4 * (uint64_t)block->count;

    if (block->count == 0 || sum > room)
        return 0;
    for (uint32_t i = 0; i < block->count; i++) {
        uint32_t size = gg_block_message(block, i);

        if (size == 0)
            return 0;
        sum += size;
    }
    return sum == room;
}

int gg_block_read(const uint8_t *data, size_t size, struct gg_block *block)
{
    struct gg_block found;

    if (size < GG_BLOCK_HEADER)
        return GG_ELENGTH;
    if (memcmp(data, "GGb1", 4) != 0)
        return GG_EINVAL;
    if (load32(data + 8) > size - GG_BLOCK_HEADER)
        return GG_ELENGTH;
    found.checksum = load32(data + 4);
    found.size = GG_BLOCK_HEADER + (size_t)load32(data + 8);
    found.count = load32(data + 12);
    found.first = load64(data + 16);
    found.time = load64(data + 24);
    found.sizes = data + GG_BLOCK_HEADER;
    if (!is_filled(&found))
        return GG_EINVAL;
    found.body = found.sizes + 4 * (size_t)found.count;
    *block = found;
    return GG_OK;
}

void gg_block_run(const uint8_t *data, size_t size, uint32_t salt,
                  uint64_t count, struct gg_run *run)
{
    struct gg_block block;

    memset(run, 0, sizeof *run);
    while (gg_block_read(data, size, &block) == GG_OK) {
        if (block.count > count ||
            (run->size > 0 && block.first != run->stop) ||
            gg_crc32(salt, data + SUMMED, block.size - SUMMED) !=
                block.checksum)
            return;
        if (run->size == 0)
            run->first = block.first;
        run->stop = block.first + block.count;
        run->time = block.time;
        run->size += block.size;
        count -= block.count;
        data += block.size;
        size -= block.size;
    }
}
