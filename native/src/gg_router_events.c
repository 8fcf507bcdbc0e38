/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of outputs, and how they are written down for Python. */
#include "gg/router_parts.h"

#include <limits.h>
#include <string.h>

enum { FIRST_OUTPUTS = 64 };

const char *gg_refusal_text(int refusal)
{
    switch (refusal) {
    case GG_QUEUE_FULL:
        return "queue full";
    case GG_NOT_CONNECTED:
        return "not connected";
    case GG_ITEMS_USED_UP:
        return "work items of the core used up";
    case GG_UNMATCHED:
        return "no subscription matches";
    default:
        return "";
    }
}

int gg_outputs_reserve(const struct gg_memory *memory,
                       struct gg_outputs *outputs, size_t more)
{
    size_t room = outputs->ring == NULL ? 0 : outputs->mask + 1;
    size_t wanted = room == 0 ? FIRST_OUTPUTS : room;
    struct gg_output *ring;
    size_t first;

    if (more <= room - outputs->count)
        return GG_OK;
    if (more > SIZE_MAX / 4 / sizeof *ring - outputs->count)
        return GG_ENOMEM;
    while (wanted < outputs->count + more)
        wanted *= 2;
    ring = gg_memory_take(memory, wanted * sizeof *ring);
    if (ring == NULL)
        return GG_ENOMEM;
    first = room - outputs->head;
    if (first > outputs->count)
        first = outputs->count;
    if (first > 0)
        memcpy(ring, outputs->ring + outputs->head, first * sizeof *ring);
    if (outputs->count > first)
        memcpy(ring + first, outputs->ring,
               (outputs->count - first) * sizeof *ring);
    if (first > 0 &&
        ring->context.at == outputs->ring[outputs->head].work_id)
        ring->context.at = NULL; /* see gg_outputs_first() */
    gg_memory_free(memory, outputs->ring);
    outputs->ring = ring;
    outputs->mask = wanted - 1;
    outputs->head = 0;
    return GG_OK;
}

struct gg_output *gg_outputs_add(struct gg_outputs *outputs, uint8_t type)
{
    struct gg_output *output =
        &outputs->ring[(outputs->head + outputs->count) & outputs->mask];

    memset(output, 0, sizeof *output);
    output->type = type;
    outputs->count++;
    return output;
}

struct gg_bytes gg_blob_slice(const struct gg_blob *blob, size_t at,
                              size_t size)
{
    struct gg_bytes bytes = {blob->bytes + at, size};

    if (size > blob->size - at)
        bytes.at = NULL;
    return bytes;
}

/* As the context of a frame. gg_router_output() fills in where it lies: the
 * queue may still move. */
void gg_outputs_put_work_id(struct gg_output *output, uint64_t work_id)
{
    for (unsigned i = 0; i < sizeof output->work_id; i++)
        output->work_id[i] = (uint8_t)(work_id >> 8 * i);
    output->context.size = sizeof output->work_id;
}

void gg_outputs_put_payload(struct gg_output *output, struct gg_blob *blob)
{
    output->blob = gg_blob_keep(blob);
    output->payload = gg_blob_slice(blob, 0, blob->length);
}

void gg_outputs_put_item(struct gg_output *output, const struct gg_item *item)
{
    output->blob = gg_blob_keep(item->blob);
    output->topic = gg_blob_slice(item->blob, 0, item->topic);
    output->context = gg_blob_slice(item->blob, item->topic, item->context);
    output->payload =
        gg_blob_slice(item->blob, item->topic + item->context, item->payload);
}

void gg_outputs_put_message(struct gg_outputs *outputs, uint32_t peer,
                            uint32_t endpoint, struct gg_blob *blob,
                            size_t topic)
{
    struct gg_output *send = gg_outputs_add(outputs, GG_SEND);

    send->peer = peer;
    send->kind = GG_MESSAGE;
    send->endpoint = endpoint;
    send->blob = gg_blob_keep(blob);
    send->topic = gg_blob_slice(blob, 0, topic);
    send->payload = gg_blob_slice(blob, topic, blob->length - topic);
}

void gg_outputs_put_finished(struct gg_outputs *outputs, uint32_t endpoint,
                             const struct gg_item *item, int outcome,
                             struct gg_blob *document, double now)
{
    struct gg_output *output = gg_outputs_add(outputs, GG_FINISHED);

    output->kind = item->kind;
    output->flags = (uint8_t)((item->event ? GG_ITEM_EVENT : 0) |
                              (item->started ? GG_ITEM_STARTED : 0));
    output->code = (uint8_t)outcome;
    output->peer = item->caller == NULL ? 0 : item->caller->number;
    output->endpoint = endpoint;
    output->source = item->source;
    output->id = item->id;
    output->number = item->number;
    gg_outputs_put_item(output, item);
    if (!document->secret) {
        output->other = gg_blob_keep(document);
        output->document = gg_blob_slice(document, 0, document->length);
    }
    output->queued_at = item->queued_at;
    output->started_at = item->started_at;
    output->now = now;
}

void gg_outputs_taken(const struct gg_memory *memory,
                      struct gg_outputs *outputs)
{
    struct gg_output *first = &outputs->ring[outputs->head];

    gg_blob_drop(memory, first->blob);
    gg_blob_drop(memory, first->other);
    outputs->head = (outputs->head + 1) & outputs->mask;
    outputs->count--;
}

void gg_outputs_clear(const struct gg_memory *memory,
                      struct gg_outputs *outputs)
{
    while (outputs->count > 0)
        gg_outputs_taken(memory, outputs);
    gg_memory_free(memory, outputs->ring);
    memset(outputs, 0, sizeof *outputs);
}

struct gg_output *gg_outputs_first(const struct gg_outputs *outputs)
{
    struct gg_output *first;

    if (outputs->count == 0)
        return NULL;
    first = &outputs->ring[outputs->head];
    if (first->context.size > 0 && first->context.at == NULL)
        first->context.at = first->work_id; /* it lies here by now */
    return first;
}

struct gg_output *gg_outputs_last(const struct gg_outputs *outputs)
{
    if (outputs->count == 0)
        return NULL;
    return &outputs->ring[(outputs->head + outputs->count - 1) & outputs->mask];
}

void gg_outputs_move(struct gg_outputs *from, struct gg_outputs *to)
{
    const struct gg_output *first = &from->ring[from->head];
    struct gg_output *last =
        &to->ring[(to->head + to->count++) & to->mask];

    *last = *first;
    if (first->context.at == first->work_id)
        last->context.at = NULL; /* see gg_outputs_first() */
    from->head = (from->head + 1) & from->mask;
    from->count--;
}

const struct gg_output *gg_router_output(struct gg_router *router)
{
    return gg_outputs_first(&router->work.outputs);
}

void gg_router_taken(struct gg_router *router)
{
    if (router->work.outputs.count > 0)
        gg_outputs_taken(&router->memory, &router->work.outputs);
}

static uint8_t *write_bytes(uint8_t *at, struct gg_bytes bytes)
{
    if (bytes.at != NULL && bytes.size > 0) /* else it is left to the caller */
        memcpy(at, bytes.at, bytes.size);
    return at + bytes.size;
}

size_t gg_record_size(const struct gg_output *output)
{
    return sizeof(struct gg_record) + output->topic.size +
           output->context.size + output->payload.size +
           output->document.size +
           (output->type == GG_FINISHED ? sizeof(struct gg_finished) : 0);
}

void gg_record_write(uint8_t *at, const struct gg_output *output)
{
    struct gg_record record = {
        .size = (uint32_t)gg_record_size(output),
        .type = output->type,
        .kind = output->kind,
        .flags = output->flags,
        .code = output->code,
        .peer = output->peer,
        .endpoint = output->endpoint,
        .id = output->id,
        .topic = (uint32_t)output->topic.size,
        .context = (uint32_t)output->context.size,
        .payload = (uint32_t)output->payload.size,
        .document = (uint32_t)output->document.size,
    };

    memcpy(at, &record, sizeof record);
    at += sizeof record;
    if (output->type == GG_FINISHED) {
        struct gg_finished finished = {
            .queued_at = output->queued_at,
            .started_at = output->started_at,
            .now = output->now,
            .number = output->number,
            .source = output->source,
        };

        memcpy(at, &finished, sizeof finished);
        at += sizeof finished;
    }
    at = write_bytes(at, output->topic);
    at = write_bytes(at, output->context);
    at = write_bytes(at, output->payload);
    (void)write_bytes(at, output->document);
}

int gg_router_drain(struct gg_router *router, uint8_t *buffer, size_t size,
                    size_t *used)
{
    const struct gg_output *output;
    size_t filled = 0;
    size_t left;

    while ((output = gg_router_output(router)) != NULL) {
        size_t needed = gg_record_size(output);

        if (needed > size - filled) {
            if (filled == 0) {
                *used = needed;
                return GG_ENOSPC;
            }
            break;
        }
        gg_record_write(buffer + filled, output);
        filled += needed;
        gg_router_taken(router);
    }
    *used = filled;
    left = router->work.outputs.count;
    return left > INT_MAX ? INT_MAX : (int)left;
}
