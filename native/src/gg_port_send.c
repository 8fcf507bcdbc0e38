/* SPDX-License-Identifier: Apache-2.0 */
#include "gg/port_parts.h"

#include <string.h>
#include <unistd.h>

struct frame_parts {
    struct gg_header header;
    const void *topic;
    const void *context;
    const void *payload;
    uint32_t payload_size;
    int bulk; /* descriptor, or -1 */
    const struct gg_lent *lent; /* NULL: all of it is meant */
    int is_bulk;
    int staged; /* to be shown to the peer later, with others */
    int soon;   /* the peer need not be woken if it will look soon */
    uint8_t wipe; /* GG_WIPE or 0 */
};

static uint8_t *append(uint8_t *at, const void *data, size_t size)
{
    if (size > 0) /* an empty part may come as NULL */
        memcpy(at, data, size);
    return at + size;
}

static void fill(uint8_t *at, const struct frame_parts *frame, uint32_t number)
{
    gg_header_write(at, &frame->header);
    if (frame->is_bulk)
        at[4] |= GG_BULK;
    at[4] |= frame->wipe;
    at = append(at + GG_FRAME_HEADER, frame->topic, frame->header.topic_size);
    at = append(at, frame->context, frame->header.context_size);
    if (frame->is_bulk) {
        struct gg_reference reference = {frame->payload_size, number};

        if (frame->lent == NULL) {
            gg_reference_write(at, &reference);
        } else {
            at = append(at, frame->lent->head, frame->lent->head_size);
            gg_lent_write(at, &reference, frame->lent->offset);
        }
    } else {
        (void)append(at, frame->payload, frame->payload_size);
    }
}

/* How many bulk messages are on their way; GG_ERING. */
static int count_in_flight(struct gg_port *port, uint32_t *count)
{
    uint32_t sent = gg_load_relaxed(&port->bulk_sent);
    uint32_t taken = gg_load_acquire(&port->out.shared->taken);

    if (taken - port->bulk_taken > sent - port->bulk_taken)
        return GG_ERING;
    port->bulk_taken = taken;
    *count = sent - taken;
    return GG_OK;
}

/* Show the peer what was staged, and wake it. */
static void commit(struct gg_port *port, int soon)
{
    gg_ring_commit(&port->out);
    gg_store_relaxed(&port->produced, port->out.own);
    gg_port_offer(port, soon ? GG_WANT_DATA : GG_WANT_DATA | GG_WANT_SOON);
}

/* Reserve, then send the descriptor, which cannot be taken back. */
static int reserve_bulk(struct gg_port *port, const struct frame_parts *frame,
                        uint8_t **at)
{
    uint32_t sent = gg_load_relaxed(&port->bulk_sent);
    uint32_t in_flight = 0;
    int status = count_in_flight(port, &in_flight);

    if (status != GG_OK)
        return status;
    if (in_flight >= GG_BULK_IN_FLIGHT)
        return GG_AGAIN;
    if (port->out.staged != port->out.own) /* so that a rollback spares it */
        commit(port, 0);
    status = gg_ring_reserve(&port->out, frame->header.length, at);
    if (status != GG_OK)
        return status;
    status = gg_bulk_send(port->socket, frame->bulk, sent + 1);
    if (status != GG_OK) {
        gg_ring_rollback(&port->out);
        return status;
    }
    gg_store_release(&port->bulk_sent, sent + 1);
    return GG_OK;
}

/* With the mutex held and the segment mapped. */
static int send_locked(struct gg_port *port, const struct frame_parts *frame)
{
    uint32_t cpu = gg_cpu();
    uint8_t *at = NULL;
    int status = frame->is_bulk
                     ? reserve_bulk(port, frame, &at)
                     : gg_ring_reserve(&port->out, frame->header.length, &at);

    if (status != GG_OK)
        return status;
    fill(at, frame, gg_load_relaxed(&port->bulk_sent));
    if (cpu != port->cpu) {
        port->cpu = cpu;
        gg_store_relaxed(&port->out.shared->cpu, cpu);
    }
    if (!frame->staged)
        commit(port, frame->soon);
    return GG_OK;
}

static int try_send(struct gg_port *port, const struct frame_parts *frame)
{
    int status = gg_port_check_open(port);

    if (status != GG_OK)
        return status;
    (void)pthread_mutex_lock(&port->sending);
    status = gg_port_check_open(port);
    if (status == GG_OK)
        status = send_locked(port, frame);
    (void)pthread_mutex_unlock(&port->sending);
    return status;
}

/* Send, or sleep and try again. */
static int send_parts(struct gg_port *port, const struct frame_parts *frame,
                      int64_t deadline)
{
    for (;;) {
        uint32_t alarms = gg_load_seq(&port->alarms);
        uint32_t need = frame->is_bulk ? UINT32_MAX : frame->header.length;
        int status = try_send(port, frame);

        if (status != GG_AGAIN || deadline <= 0 || port->side == GG_SIDE_CORE)
            return status;
        status =
            gg_port_wait(port, GG_WANT_ROOM, need, alarms, deadline, 0);
        if (status < 0)
            return status;
    }
}

static int send_bulk(struct gg_port *port, struct frame_parts *frame,
                     int64_t deadline)
{
    uint32_t size = GG_FRAME_HEADER + frame->header.topic_size +
                    frame->header.context_size + GG_REFERENCE_SIZE;
    int status;

    if (frame->payload_size > GG_BULK_MOST || port->socket == -1 ||
        size > gg_ring_inline(port->out.capacity))
        return GG_ELENGTH;
    status = gg_port_enter(port);
    if (status != GG_OK)
        return status;
    /* A memfd is not cheap: make none that would only be thrown away. */
    if (!gg_port_has_room(port, UINT32_MAX) &&
        (deadline <= 0 || port->side == GG_SIDE_CORE))
        status = GG_AGAIN;
    gg_port_leave(port);
    if (status == GG_OK)
        status = gg_bulk_create(frame->payload, frame->payload_size,
                                &frame->bulk);
    if (status != GG_OK)
        return status;
    frame->header.length = size;
    frame->is_bulk = 1;
    status = send_parts(port, frame, deadline);
    (void)close(frame->bulk);
    return status;
}

int gg_port_pass(struct gg_port *port, const struct gg_header *header,
                 const void *topic, const void *context, int bulk,
                 uint32_t size, const struct gg_lent *lent)
{
    uint32_t last = GG_REFERENCE_SIZE;
    struct frame_parts frame = {
        .header = *header,
        .topic = topic,
        .context = context,
        .payload_size = size,
        .bulk = bulk,
        .lent = lent,
        .is_bulk = 1,
        .wipe = header->kind & GG_WIPE,
    };
    int status;

    if (lent != NULL) {
        if (lent->head_size > gg_ring_inline(port->out.capacity))
            return GG_ELENGTH;
        last = lent->head_size + GG_LENT_SIZE;
    }
    frame.header.kind &= (uint8_t)~GG_WIPE;
    frame.header.length = GG_FRAME_HEADER + last + header->topic_size +
                          header->context_size;
    status = gg_header_check(&frame.header,
                             gg_ring_inline(port->out.capacity));
    if (status != GG_OK)
        return status;
    if (size == 0 || size > GG_BULK_MOST || port->socket == -1)
        return GG_ELENGTH;
    return try_send(port, &frame);
}

int gg_port_stage(struct gg_port *port, const struct gg_header *header,
                  const void *topic, const void *context, const void *payload)
{
    struct frame_parts frame = {
        .header = *header,
        .topic = topic,
        .context = context,
        .payload = payload,
        .bulk = -1,
        .staged = 1,
        .wipe = header->kind & GG_WIPE,
    };
    int status;

    frame.header.kind &= (uint8_t)~GG_WIPE;
    status = gg_header_check(&frame.header, gg_ring_inline(port->out.capacity));
    if (status != GG_OK)
        return status;
    frame.payload_size = header->length - GG_FRAME_HEADER -
                         header->topic_size - header->context_size;
    return try_send(port, &frame);
}

int gg_port_flush(struct gg_port *port)
{
    int status = gg_port_check_open(port);

    if (status != GG_OK)
        return status;
    (void)pthread_mutex_lock(&port->sending);
    status = gg_port_check_open(port);
    if (status == GG_OK && port->out.staged != port->out.own)
        commit(port, 0);
    (void)pthread_mutex_unlock(&port->sending);
    return status;
}

int gg_port_send(struct gg_port *port, uint8_t kind, uint8_t flags,
                 uint32_t endpoint, uint64_t id, const void *topic,
                 uint16_t topic_size, const void *context,
                 uint32_t context_size, const void *payload,
                 uint32_t payload_size, int64_t deadline)
{
    struct frame_parts frame = {
        .header = {.id = id,
                   .length = GG_FRAME_HEADER,
                   .context_size = context_size,
                   .endpoint = endpoint,
                   .topic_size = topic_size,
                   .kind = kind,
                   .flags = flags},
        .topic = topic,
        .context = context,
        .payload = payload,
        .payload_size = payload_size,
        .bulk = -1,
        .soon = deadline == GG_SOON,
    };
    int status;

    if (topic_size > GG_MAX_TOPIC)
        return GG_ETOPIC;
    if (context_size > GG_MAX_CONTEXT)
        return GG_ECONTEXT;
    if (payload_size > GG_BULK_MOST)
        return GG_ELENGTH;
    /* No overflow after these. */
    frame.header.length += topic_size + context_size + payload_size;
    status = gg_header_check(&frame.header, UINT32_MAX);
    if (status != GG_OK)
        return status;
    if (frame.header.length > gg_ring_inline(port->out.capacity))
        return send_bulk(port, &frame, deadline);
    return send_parts(port, &frame, deadline);
}
