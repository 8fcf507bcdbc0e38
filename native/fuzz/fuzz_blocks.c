/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks on any bytes: what is read lies inside the buffer and is filled by its
 * messages, and a run is made of whole blocks that follow each other. The
 * checksums of what can be read are made good first, else no run would begin. */
#include "gg/block.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 1 << 16, SALT = 77 };

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check_block(const uint8_t *data, size_t size,
                        const struct gg_block *block)
{
    const uint8_t *at = block->body;

    require(block->size >= GG_BLOCK_HEADER && block->size <= size);
    require(block->count > 0);
    for (uint32_t i = 0; i < block->count; i++)
        at += gg_block_message(block, i);
    require(at == data + block->size);
}

/* Give the blocks that `bytes` begin with their checksums. */
static void mend(uint8_t *bytes, size_t size)
{
    struct gg_block block;

    while (gg_block_read(bytes, size, &block) == GG_OK) {
        uint32_t sum = gg_crc32(SALT, bytes + 8, block.size - 8);

        check_block(bytes, size, &block);
        for (int i = 0; i < 4; i++)
            bytes[4 + i] = (uint8_t)(sum >> 8 * i);
        bytes += block.size;
        size -= block.size;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t bytes[MOST];
    size_t index = size > 0 ? 1 + (size_t)data[0] : 0; /* of a segment */
    uint64_t most = size > 1 ? data[1] : UINT64_MAX;
    uint64_t found = 0;
    struct gg_block block;
    struct gg_run run;
    size_t at = 0;

    if (index > size || size - index > MOST)
        return 0;
    size -= index;
    if (size > 0)
        memcpy(bytes, data + index, size);
    mend(bytes, size);
    gg_block_run(bytes, size, SALT, most, &run);
    require(run.size <= size && (run.size > 0 || run.stop == 0));
    for (; at < run.size; at += block.size) {
        require(gg_block_read(bytes + at, run.size - at, &block) == GG_OK);
        require(block.first == run.first + found);
        found += block.count;
    }
    require(at == run.size && found <= most);
    require(found == run.stop - run.first);
    return 0;
}
