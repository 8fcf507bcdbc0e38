/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder on any bytes: what it returns lies inside the buffer, in order,
 * and is what the header says; the rest is incomplete or has a status. */
#include "gg/frame.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIMIT = 1 << 17, BATCH = 3 };

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check_frame(const uint8_t *data, size_t start,
                        const struct gg_frame *frame)
{
    uint8_t bytes[GG_FRAME_HEADER];
    struct gg_header header;

    require(frame->topic == start + GG_FRAME_HEADER);
    require(frame->topic <= frame->context);
    require(frame->context <= frame->payload);
    require(frame->payload <= frame->end);
    header.id = frame->id;
    header.length = (uint32_t)(frame->end - start);
    header.context_size = (uint32_t)(frame->payload - frame->context);
    header.endpoint = frame->endpoint;
    header.topic_size = (uint16_t)(frame->context - frame->topic);
    header.kind = frame->kind;
    header.flags = frame->flags;
    require(gg_header_check(&header, LIMIT) == GG_OK);
    gg_header_write(bytes, &header);
    require(memcmp(bytes, data + start, sizeof bytes) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gg_frame frames[BATCH];
    size_t start = 0;

    for (;;) {
        size_t next = SIZE_MAX;
        int count =
            gg_frames_decode(data, size, start, LIMIT, frames, BATCH, &next);

        if (count <= 0) {
            require(next == (count == 0 ? start : SIZE_MAX));
            require(count == 0 || gg_strerror(count)[0] != 'U');
            return 0;
        }
        for (int i = 0; i < count; i++) {
            check_frame(data, start, &frames[i]);
            start = (size_t)frames[i].end;
        }
        require(start == next && next <= size);
    }
}
