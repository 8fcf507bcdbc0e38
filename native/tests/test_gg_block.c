/* SPDX-License-Identifier: Apache-2.0 */
#include "gg/block.h"
#include "gg_test.h"

#include <string.h>

static void store(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

/* Write a block of messages of 1, 2, 3… bytes, and return its size. */
static size_t put(uint8_t *at, uint64_t first, uint32_t count, uint32_t salt)
{
    uint8_t *end = at + GG_BLOCK_HEADER + 4 * count;
    size_t size;

    for (uint32_t i = 0; i < count; i++) {
        store(at + GG_BLOCK_HEADER + 4 * i, i + 1, 4);
        memset(end, (int)('a' + i), i + 1);
        end += i + 1;
    }
    size = (size_t)(end - at);
    memcpy(at, "GGb1", 4);
    store(at + 8, size - GG_BLOCK_HEADER, 4);
    store(at + 12, count, 4);
    store(at + 16, first, 8);
    store(at + 24, first * 10, 8);
    store(at + 4, gg_crc32(salt, at + 8, size - 8), 4);
    return size;
}

TEST(the_checksum_is_that_of_zip)
{
    CHECK_INT(0, (long)gg_crc32(0, "", 0));
    CHECK(gg_crc32(0, "123456789", 9) == UINT32_C(0xcbf43926));
}

TEST(the_checksum_is_the_same_in_pieces_of_any_size)
{
    uint8_t data[1000];

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * i + 7);
    for (size_t at = 0; at <= sizeof data; at++) {
        uint32_t slow = 0;

        for (size_t i = 0; i < at; i++)
            slow = gg_crc32(slow, data + i, 1);
        CHECK_INT((long)slow, (long)gg_crc32(0, data, at));
        CHECK_INT((long)gg_crc32(0, data, sizeof data),
                  (long)gg_crc32(slow, data + at, sizeof data - at));
    }
}

TEST(a_block_is_read_as_it_was_written)
{
    uint8_t data[200];
    size_t size = put(data, 7, 3, 5);
    struct gg_block block;

    CHECK_INT(GG_OK, gg_block_read(data, size, &block));
    CHECK_INT(7, (long)block.first);
    CHECK_INT(70, (long)block.time);
    CHECK_INT(3, (long)block.count);
    CHECK_INT((long)size, (long)block.size);
    CHECK(memcmp(block.body, "abbccc", 6) == 0);
}

TEST(a_block_that_is_cut_off_is_not_read_beyond_its_end)
{
    uint8_t data[200];
    size_t size = put(data, 7, 3, 5);
    struct gg_block block;

    for (size_t at = 0; at < size; at++) {
        uint8_t *exact = malloc(at + 1);

        CHECK(exact != NULL);
        memcpy(exact, data, at);
        CHECK_INT(GG_ELENGTH, gg_block_read(exact, at, &block));
        free(exact);
    }
}

TEST(sizes_that_do_not_fill_the_body_are_refused)
{
    static const uint32_t wrong[][2] = {
        {8, 0}, {8, UINT32_MAX}, {12, 0}, {12, 2}, {12, UINT32_MAX}, {32, 0},
        {32, 2}, {32, UINT32_MAX},
    };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint8_t data[200];
        size_t size = put(data, 7, 3, 5);
        struct gg_block block;

        store(data + wrong[i][0], wrong[i][1], 4);
        CHECK(gg_block_read(data, size, &block) != GG_OK);
    }
}

TEST(a_run_ends_at_a_gap_at_damage_and_at_its_count)
{
    uint8_t data[600];
    size_t one = put(data, 0, 3, 5);
    size_t two = one + put(data + one, 3, 2, 5);
    size_t all = two + put(data + two, 6, 1, 5);
    struct gg_run run;

    gg_block_run(data, all, 5, 100, &run);
    CHECK_INT((long)two, (long)run.size);
    CHECK_INT(0, (long)run.first);
    CHECK_INT(5, (long)run.stop);
    CHECK_INT(30, (long)run.time);
    gg_block_run(data, all, 5, 4, &run);
    CHECK_INT((long)one, (long)run.size);
    gg_block_run(data, two - 1, 5, 100, &run);
    CHECK_INT((long)one, (long)run.size);
    gg_block_run(data, all, 6, 100, &run);
    CHECK_INT(0, (long)run.size);
    data[one - 1] ^= 1;
    gg_block_run(data, all, 5, 100, &run);
    CHECK_INT(0, (long)run.size);
}
