/* SPDX-License-Identifier: Apache-2.0 */
#include "gg/frame.h"
#include "gg_test.h"

#include <string.h>

enum { LIMIT = 1 << 20 };

static const struct gg_header SMALL = {
    .id = 0x0102030405060708,
    .length = GG_FRAME_HEADER + 3 + 2 + 5,
    .context_size = 2,
    .endpoint = 0xA1B2C3D4,
    .topic_size = 3,
    .kind = GG_PUBLISH,
    .flags = 2,
};

/* Write SMALL and its ten bytes; return what follows. */
static uint8_t *put_small(uint8_t *at)
{
    gg_header_write(at, &SMALL);
    memcpy(at + GG_FRAME_HEADER, "a/bcxhello", 10);
    return at + SMALL.length;
}

TEST(header_bytes_stand_where_the_format_says)
{
    static const uint8_t expected[GG_FRAME_HEADER] = {
        34,   0,    0,    0,    1, 2, 3, 0, 2, 0, 0, 0,
        0xD4, 0xC3, 0xB2, 0xA1, 8, 7, 6, 5, 4, 3, 2, 1,
    };
    uint8_t actual[GG_FRAME_HEADER];
    struct gg_header back;

    gg_header_write(actual, &SMALL);
    CHECK(memcmp(expected, actual, sizeof expected) == 0);
    gg_header_read(actual, &back);
    CHECK(memcmp(&SMALL, &back, sizeof back) == 0);
}

TEST(frames_of_one_buffer_come_out_in_order)
{
    uint8_t data[200];
    uint8_t *end = put_small(put_small(data));
    struct gg_frame frames[4];
    size_t next = 0;

    CHECK_INT(2, gg_frames_decode(data, (size_t)(end - data), 0, LIMIT, frames,
                                  4, &next));
    CHECK_INT(end - data, next);
    CHECK_INT(34 + 24, frames[1].topic);
    CHECK_INT(34 + 27, frames[1].context);
    CHECK_INT(34 + 29, frames[1].payload);
    CHECK_INT(68, frames[1].end);
    CHECK_INT(SMALL.endpoint, frames[1].endpoint);
    CHECK(SMALL.id == frames[1].id);
    CHECK_INT(GG_PUBLISH, frames[1].kind);
    CHECK_INT(2, frames[1].flags);
}

TEST(decoding_reads_no_byte_behind_the_buffer)
{
    uint8_t data[68];
    struct gg_frame frames[4];

    (void)put_small(put_small(data));
    for (size_t size = 0; size <= sizeof data; size++) {
        uint8_t *exact = gg_test_guarded(size);
        size_t next = 99;

        if (size > 0)
            memcpy(exact, data, size);
        CHECK_INT(size / 34,
                  gg_frames_decode(exact, size, 0, LIMIT, frames, 4, &next));
        CHECK_INT(size / 34 * 34, next);
    }
}

TEST(a_full_array_stops_the_batch)
{
    uint8_t data[102];
    struct gg_frame frames[2];
    size_t next = 0;

    (void)put_small(put_small(put_small(data)));
    CHECK_INT(2,
              gg_frames_decode(data, sizeof data, 0, LIMIT, frames, 2, &next));
    CHECK_INT(68, next);
    CHECK_INT(
        1, gg_frames_decode(data, sizeof data, next, LIMIT, frames, 2, &next));
    CHECK_INT(102, next);
    CHECK_INT(
        0, gg_frames_decode(data, sizeof data, next, LIMIT, frames, 2, &next));
    CHECK_INT(0,
              gg_frames_decode(data, sizeof data, 0, LIMIT, frames, 0, &next));
    CHECK_INT(0, next);
}

TEST(a_bad_frame_is_reported_behind_the_good_ones)
{
    uint8_t data[68];
    struct gg_frame frames[4];
    size_t next = 7;

    (void)put_small(put_small(data));
    data[34 + 4] = 8;
    CHECK_INT(1, gg_frames_decode(data, 68, 0, LIMIT, frames, 4, &next));
    CHECK_INT(34, next);
    CHECK_INT(GG_EKIND,
              gg_frames_decode(data, 68, next, LIMIT, frames, 4, &next));
    CHECK_INT(34, next); /* written only on success */
}

TEST(a_bad_header_is_refused_before_its_frame_has_arrived)
{
    uint8_t data[34];
    struct gg_frame frames[1];
    size_t next = 0;

    (void)put_small(data);
    data[3] = 1; /* 16 MiB */
    CHECK_INT(GG_ELENGTH,
              gg_frames_decode(data, 24, 0, LIMIT, frames, 1, &next));
}

TEST(an_offset_behind_the_buffer_is_the_callers_fault)
{
    uint8_t data[34] = {0};
    struct gg_frame frames[1];
    size_t next = 0;

    CHECK_INT(GG_EINVAL,
              gg_frames_decode(data, 34, 35, LIMIT, frames, 1, &next));
}

TEST(each_rule_of_a_header_has_its_own_status)
{
    struct gg_header header = SMALL;

    CHECK_INT(GG_OK, gg_header_check(&header, header.length));
    CHECK_INT(GG_ELENGTH, gg_header_check(&header, header.length - 1));
    header.length = GG_FRAME_HEADER - 1;
    CHECK_INT(GG_ELENGTH, gg_header_check(&header, LIMIT));
    header.length = GG_FRAME_HEADER + 4;
    CHECK_INT(GG_EFIELDS, gg_header_check(&header, LIMIT));
    header.length = GG_FRAME_HEADER + 5;
    CHECK_INT(GG_OK, gg_header_check(&header, LIMIT));
    header.length = LIMIT;
    header.topic_size = GG_MAX_TOPIC;
    header.context_size = GG_MAX_CONTEXT;
    CHECK_INT(GG_OK, gg_header_check(&header, LIMIT));
    header.topic_size = GG_MAX_TOPIC + 1;
    CHECK_INT(GG_ETOPIC, gg_header_check(&header, LIMIT));
    header.topic_size = UINT16_MAX;
    CHECK_INT(GG_ETOPIC, gg_header_check(&header, LIMIT));
    header.topic_size = 0;
    header.context_size = GG_MAX_CONTEXT + 1;
    CHECK_INT(GG_ECONTEXT, gg_header_check(&header, LIMIT));
    header.context_size = UINT32_MAX;
    CHECK_INT(GG_ECONTEXT, gg_header_check(&header, LIMIT));
}

TEST(kinds_carry_their_own_flags_and_no_other)
{
    static const unsigned allowed[] = {0, 3, 0, 1, 7, 7, 1, 0};

    for (unsigned kind = 0; kind <= UINT8_MAX; kind++)
        for (unsigned flags = 0; flags <= UINT8_MAX; flags++) {
            struct gg_header header = SMALL;
            int expected = GG_OK;

            header.kind = (uint8_t)kind;
            header.flags = (uint8_t)flags;
            if (kind < GG_PUBLISH || kind > GG_CONTROL)
                expected = GG_EKIND;
            else if (flags & ~allowed[kind])
                expected = GG_EFLAGS;
            CHECK_INT(expected, gg_header_check(&header, LIMIT));
        }
}

TEST(every_status_has_a_sentence)
{
    for (int status = GG_EFILTER; status <= GG_OK; status++) {
        const char *text = gg_strerror(status);

        CHECK(strlen(text) > 5);
        CHECK(text[strlen(text) - 1] != '.');
        CHECK(strcmp("Unknown status", text) != 0);
    }
    CHECK(strcmp("Unknown status", gg_strerror(GG_EFILTER - 1)) == 0);
    CHECK(strcmp("Success", gg_strerror(3)) == 0);
}
