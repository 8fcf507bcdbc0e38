/* SPDX-License-Identifier: Apache-2.0 */
#include "gg/port_parts.h"

/* Have the segment, and the right to receive, until gg_port_release(). */
static int begin_receiving(struct gg_port *port)
{
    uint32_t users = gg_load_relaxed(&port->users);

    if (gg_port_is_forked(port))
        return GG_EFORKED;
    do {
        if ((users & GG_PORT_CLOSED) != 0)
            return GG_ECLOSED;
        if ((users & GG_PORT_RECEIVING) != 0)
            return GG_EINVAL;
    } while (!gg_cas_seq(&port->users, &users, users | GG_PORT_RECEIVING));
    return GG_OK;
}

static void end_receiving(struct gg_port *port)
{
    /* GG_PORT_RECEIVING is set, so this takes exactly that bit away. */
    if (gg_add_seq(&port->users, UINT32_MAX - GG_PORT_RECEIVING + 1) ==
        (GG_PORT_CLOSED | GG_PORT_RECEIVING))
        gg_port_finish(port);
}

/* Where behind topic and context the reference of a bulk message is; -1 if none
 * can be there. Only the core lends bytes. */
static int64_t reference_at(const struct gg_port *port,
                            const struct gg_header *header)
{
    int64_t rest = (int64_t)header->length - GG_FRAME_HEADER -
                   header->topic_size - header->context_size;

    if (rest == GG_REFERENCE_SIZE)
        return 0;
    if (rest < GG_LENT_SIZE || port->side == GG_SIDE_CORE ||
        header->kind != GG_RESULT)
        return -1;
    return rest - GG_LENT_SIZE;
}

/* Read a frame; check and count its reference if it is a bulk message. */
static int read_frame(struct gg_port *port, struct gg_header *header,
                      const uint8_t **at, struct gg_reference *reference)
{
    uint8_t bytes[GG_REFERENCE_SIZE];
    int64_t before;
    int bulk = 0;
    int status = gg_ring_read(&port->in, header, at, &bulk);

    reference->size = 0;
    reference->number = 0;
    if (status != GG_OK || !bulk)
        return status;
    before = reference_at(port, header);
    if (before < 0)
        return GG_EBULK;
    before += (int64_t)header->topic_size + header->context_size;
    gg_copy_once(bytes, *at + before, sizeof bytes);
    gg_reference_read(bytes, reference);
    if (reference->size == 0 || reference->size > GG_BULK_MOST ||
        reference->number != port->bulk_received + 1)
        return GG_EBULK;
    port->bulk_received++;
    port->bulk_batch++;
    return GG_OK;
}

static int read_batch(struct gg_port *port, struct gg_port_view *views,
                      uint32_t capacity, uint32_t max_bytes, int with_bulk)
{
    uint32_t count = 0;
    uint64_t bytes = 0;
    int status = GG_AGAIN;

    while (count < capacity) {
        /* A frame that is too much for the batch is read the next time. */
        struct gg_ring before = port->in;
        uint32_t bulk_batch = port->bulk_batch;
        struct gg_port_view *view = &views[count];
        struct gg_reference reference;
        struct gg_header header;
        const uint8_t *at = NULL;

        status = read_frame(port, &header, &at, &reference);
        if (status != GG_OK) {
            port->in.staged = before.staged;
            break;
        }
        bytes += header.length + (uint64_t)reference.size;
        if ((count > 0 && bytes > max_bytes) ||
            (reference.size != 0 && !with_bulk)) {
            status = GG_AGAIN;
            port->in.staged = before.staged;
            port->bulk_received -= port->bulk_batch - bulk_batch;
            port->bulk_batch = bulk_batch;
            break;
        }
        view->id = header.id;
        view->topic = (uint32_t)(at - port->in.data);
        view->context = view->topic + header.topic_size;
        view->payload = view->context + header.context_size;
        view->end = view->topic + (header.length - GG_FRAME_HEADER);
        view->endpoint = header.endpoint;
        view->bulk_size = reference.size;
        view->bulk_number = reference.number;
        view->kind = header.kind;
        view->flags = header.flags;
        view->zero = 0;
        count++;
    }
    gg_store_relaxed(&port->consumed, port->in.staged);
    return count > 0 ? (int)count : status;
}

int gg_port_receive_batch(struct gg_port *port, struct gg_port_view *views,
                          uint32_t capacity, uint32_t max_bytes,
                          int64_t deadline, int spin)
{
    if (capacity == 0 || capacity > INT32_MAX)
        return GG_EINVAL;
    for (;;) {
        uint32_t alarms = gg_load_seq(&port->alarms);
        int status = begin_receiving(port);

        if (status != GG_OK)
            return status;
        status = read_batch(port, views, capacity, max_bytes, 1);
        if (status > 0)
            return status;
        end_receiving(port);
        if (status != GG_AGAIN || deadline == 0 || port->side == GG_SIDE_CORE)
            return status;
        status =
            gg_port_wait(port, GG_WANT_DATA, 0, alarms, deadline, spin);
        if (status < 0)
            return status;
        if ((status & GG_WANT_DATA) == 0)
            return GG_EINTR;
    }
}

int gg_port_receive_inline(struct gg_port *port, struct gg_port_view *views,
                           uint32_t capacity, uint32_t max_bytes)
{
    int status;

    if (capacity == 0 || capacity > INT32_MAX)
        return GG_EINVAL;
    status = begin_receiving(port);
    if (status != GG_OK)
        return status;
    status = gg_port_has_news(port)
                 ? GG_AGAIN
                 : read_batch(port, views, capacity, max_bytes, 0);
    if (status <= 0)
        end_receiving(port);
    return status;
}

int gg_port_receive(struct gg_port *port, struct gg_received *received)
{
    const uint8_t *at = NULL;
    uint32_t before;
    int status = begin_receiving(port);

    if (status != GG_OK)
        return status;
    before = port->in.staged;
    status = read_frame(port, &received->header, &at, &received->bulk);
    if (status != GG_OK) {
        port->in.staged = before;
        end_receiving(port);
        return status;
    }
    gg_store_relaxed(&port->consumed, port->in.staged);
    gg_copy_once(received->topic, at, received->header.topic_size);
    received->context = at + received->header.topic_size;
    received->payload = received->context + received->header.context_size;
    received->payload_size =
        received->header.length - GG_FRAME_HEADER -
        received->header.topic_size - received->header.context_size;
    return GG_OK;
}

void gg_port_release(struct gg_port *port)
{
    uint32_t used;
    uint32_t bulk = port->bulk_batch;

    if (gg_port_is_forked(port) ||
        (gg_load_relaxed(&port->users) & GG_PORT_RECEIVING) == 0)
        return;
    if (bulk > 0) {
        port->bulk_batch = 0;
        gg_store_release(&port->in.shared->taken, port->bulk_received);
    }
    gg_ring_release(&port->in);
    used = port->in.peer - port->in.own;
    if (bulk > 0 || used <= port->in.capacity / 2)
        gg_port_offer(port, GG_WANT_ROOM);
    end_receiving(port);
}

const uint8_t *gg_port_data(const struct gg_port *port, uint32_t *size)
{
    *size = 2 * port->in.capacity;
    return port->in.data;
}
