/* SPDX-License-Identifier: Apache-2.0 */
#include "gg/frame.h"

#include <limits.h>

/* Bits that are not defined for a kind; each kind of frame.h has a row. An
 * unknown kind reserves bit 8, which no flags byte can answer for. */
enum { UNKNOWN = 0x100 };

static unsigned reserved_flags(uint8_t kind)
{
    switch (kind) {
    case GG_PUBLISH: /* all or exception, answer */
        return 0xFFu & ~3u;
    case GG_INVOKE: /* event */
    case GG_READY:  /* failed */
        return 0xFFu & ~1u;
    case GG_RESULT:  /* handled, unhandled, timeout */
    case GG_VERDICT: /* a status of 0 to 7 */
        return 0xFFu & ~7u;
    case GG_MESSAGE:
    case GG_CONTROL:
        return 0xFFu;
    default:
        return UNKNOWN;
    }
}

static uint16_t load16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

static uint32_t load32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
           (uint32_t)at[3] << 24;
}

static uint64_t load64(const uint8_t *at)
{
    return (uint64_t)load32(at) | (uint64_t)load32(at + 4) << 32;
}

static void store(uint8_t *at, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

void gg_header_read(const uint8_t bytes[GG_FRAME_HEADER],
                    struct gg_header *header)
{
    header->length = load32(bytes);
    header->kind = bytes[4];
    header->flags = bytes[5];
    header->topic_size = load16(bytes + 6);
    header->context_size = load32(bytes + 8);
    header->endpoint = load32(bytes + 12);
    header->id = load64(bytes + 16);
}

void gg_header_write(uint8_t bytes[GG_FRAME_HEADER],
                     const struct gg_header *header)
{
    store(bytes, header->length, 4);
    bytes[4] = header->kind;
    bytes[5] = header->flags;
    store(bytes + 6, header->topic_size, 2);
    store(bytes + 8, header->context_size, 4);
    store(bytes + 12, header->endpoint, 4);
    store(bytes + 16, header->id, 8);
}

int gg_header_check(const struct gg_header *header, uint32_t max_frame)
{
    unsigned reserved = reserved_flags(header->kind);

    if (header->length < GG_FRAME_HEADER || header->length > max_frame)
        return GG_ELENGTH;
    if (reserved == UNKNOWN)
        return GG_EKIND;
    if (header->flags & reserved)
        return GG_EFLAGS;
    if (header->topic_size > GG_MAX_TOPIC)
        return GG_ETOPIC;
    if (header->context_size > GG_MAX_CONTEXT)
        return GG_ECONTEXT;
    /* Both are small by now, so the sum cannot overflow. */
    if (header->topic_size + header->context_size >
        header->length - GG_FRAME_HEADER)
        return GG_EFIELDS;
    return GG_OK;
}

int gg_frames_decode(const uint8_t *data, size_t size, size_t start,
                     uint32_t max_frame, struct gg_frame *frames,
                     uint32_t capacity, size_t *next)
{
    uint32_t count = 0;

    if (start > size || capacity > INT_MAX)
        return GG_EINVAL;
    while (count < capacity && size - start >= GG_FRAME_HEADER) {
        struct gg_frame *frame = &frames[count];
        struct gg_header header;
        int status;

        gg_header_read(data + start, &header);
        status = gg_header_check(&header, max_frame);
        if (status != GG_OK) {
            if (count == 0)
                return status;
            break;
        }
        if (header.length > size - start)
            break;
        frame->id = header.id;
        frame->topic = start + GG_FRAME_HEADER;
        frame->context = frame->topic + header.topic_size;
        frame->payload = frame->context + header.context_size;
        frame->end = start + header.length;
        frame->endpoint = header.endpoint;
        frame->kind = header.kind;
        frame->flags = header.flags;
        frame->zero = 0;
        start += header.length;
        count++;
    }
    *next = start;
    return (int)count;
}
