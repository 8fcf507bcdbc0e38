/* SPDX-License-Identifier: Apache-2.0 */
/* What the owner tells the plane: of the ring peers, and of the router. */
#include "gg/plane_parts.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

/* --- ring peers --- */

/* The router knows the peer by now: read its ring, if it has one. */
static void begin_reading(struct gg_plane *plane, uint32_t peer)
{
    struct gg_link *link = gg_plane_link(plane, peer);

    if (link == NULL || link->attached)
        return;
    link->attached = 1;
    gg_link_wake(plane, link);
    gg_plane_rouse(plane);
}

void gg_plane_drain(struct gg_plane *plane, uint32_t peer)
{
    const struct gg_link *known = NULL;
    uint64_t left = 0;
    int found;

    do {
        struct gg_link *link;

        (void)gg_plane_enter(plane);
        link = gg_plane_link(plane, peer);
        found = 0;
        if (link != NULL && !link->over) {
            if (known == NULL) /* a ring full of smallest frames */
                left = link->port.segment.up_capacity / GG_FRAME_HEADER;
            known = link;
            found = gg_link_receive(plane, link);
            found += gg_link_read(plane, link);
        }
        left = (uint64_t)found < left ? left - (uint64_t)found : 0;
        (void)gg_plane_leave(plane, GG_OK);
    } while (found > 0 && left > 0);
}

void gg_plane_disconnect(struct gg_plane *plane, uint32_t peer)
{
    struct gg_link *link;

    gg_plane_drain(plane, peer);
    (void)gg_plane_enter(plane);
    link = gg_plane_link(plane, peer);
    if (link != NULL)
        gg_link_bury(plane, link);
    (void)gg_plane_leave(plane, GG_OK);
}

static int put_frame(struct gg_plane *plane, uint32_t peer, const uint8_t *data,
                     const struct gg_frame *frame)
{
    struct gg_outputs *outputs = &plane->router->work.outputs;
    size_t topic = (size_t)(frame->context - frame->topic);
    size_t context = (size_t)(frame->payload - frame->context);
    size_t payload = (size_t)(frame->end - frame->payload);
    struct gg_blob *blob;
    struct gg_output *send;

    if (gg_outputs_reserve(&plane->memory, outputs, 1) != GG_OK)
        return GG_ENOMEM;
    blob = gg_blob_new(&plane->memory, data + frame->topic,
                       topic + context + payload);
    if (blob == NULL)
        return GG_ENOMEM;
    send = gg_outputs_add(outputs, GG_SEND);
    send->peer = peer;
    send->kind = frame->kind;
    send->flags = frame->flags;
    send->endpoint = frame->endpoint;
    send->id = frame->id;
    send->blob = blob;
    send->topic = gg_blob_slice(blob, 0, topic);
    send->context = gg_blob_slice(blob, topic, context);
    send->payload = gg_blob_slice(blob, topic + context, payload);
    return GG_OK;
}

int gg_plane_send(struct gg_plane *plane, uint32_t peer, const uint8_t *data,
                  const struct gg_frame *frame)
{
    int status = GG_OK;

    if (frame->topic > frame->context || frame->context > frame->payload ||
        frame->payload > frame->end || frame->end > INT32_MAX ||
        frame->context - frame->topic > GG_MAX_TOPIC)
        return GG_EINVAL;
    (void)gg_plane_enter(plane);
    if (gg_plane_link(plane, peer) != NULL)
        status = put_frame(plane, peer, data, frame);
    return gg_plane_leave(plane, status);
}

static int has_hung_up(int socket)
{
    struct pollfd look = {.fd = socket, .events = POLLRDHUP};

    return poll(&look, 1, 0) > 0;
}

int gg_plane_peer_state(struct gg_plane *plane, uint32_t peer)
{
    const struct gg_link *link;
    int state = 0;

    (void)gg_plane_enter(plane);
    link = gg_plane_link(plane, peer);
    if (link != NULL)
        state = GG_IS_CONNECTED |
                (link->overflow.count > 0 ? GG_IS_STALLED : 0) |
                (has_hung_up(link->socket) ? GG_HAS_HUNG_UP : 0);
    return gg_plane_leave(plane, state);
}

/* --- the router --- */

int gg_plane_define_function(struct gg_plane *plane, uint32_t endpoint,
                             const struct gg_rules *rules, const uint8_t *name,
                             size_t size)
{
    struct gg_router *router = gg_plane_enter(plane);

    return gg_plane_leave(
        plane, gg_router_define_function(router, endpoint, rules, name, size));
}

int gg_plane_name_function(struct gg_plane *plane, uint32_t endpoint,
                           const uint8_t *name, size_t size)
{
    struct gg_router *router = gg_plane_enter(plane);

    return gg_plane_leave(
        plane, gg_router_name_function(router, endpoint, name, size));
}

int gg_plane_define_peer(struct gg_plane *plane, uint32_t endpoint,
                         uint64_t queue_items, uint64_t queue_bytes)
{
    struct gg_router *router = gg_plane_enter(plane);

    return gg_plane_leave(plane, gg_router_define_peer(router, endpoint,
                                                       queue_items,
                                                       queue_bytes));
}

int gg_plane_install(struct gg_plane *plane, const struct gg_index *index,
                     uint32_t capacity, const struct gg_route *routes,
                     uint32_t count, const uint8_t *text, size_t text_size)
{
    struct gg_router *router = gg_plane_enter(plane);

    return gg_plane_leave(plane,
                          gg_router_install(router, index, capacity, routes,
                                            count, text, text_size));
}

int gg_plane_counted(struct gg_plane *plane, struct gg_route *rows,
                     uint32_t capacity)
{
    struct gg_router *router = gg_plane_enter(plane);

    return gg_plane_leave(plane, gg_router_counted(router, rows, capacity));
}

void gg_plane_refuse(struct gg_plane *plane)
{
    gg_router_stop(gg_plane_enter(plane));
    (void)gg_plane_leave(plane, GG_OK);
}

void gg_plane_tap(struct gg_plane *plane, int on)
{
    gg_router_tap(gg_plane_enter(plane), on);
    (void)gg_plane_leave(plane, GG_OK);
}

int gg_plane_attach(struct gg_plane *plane, uint32_t peer, uint32_t endpoint)
{
    struct gg_router *router = gg_plane_enter(plane);
    int status = gg_router_attach(router, peer, endpoint);

    if (status == GG_OK)
        begin_reading(plane, peer);
    return gg_plane_leave(plane, status);
}

int gg_plane_attach_worker(struct gg_plane *plane, uint32_t peer,
                           uint32_t endpoint, double now)
{
    struct gg_router *router = gg_plane_enter(plane);
    int status = gg_router_attach_worker(router, peer, endpoint, now);

    if (status == GG_OK)
        begin_reading(plane, peer);
    return gg_plane_leave(plane, status);
}

int gg_plane_worker_failed(struct gg_plane *plane, uint32_t endpoint,
                           const uint8_t *document, size_t size, double now)
{
    struct gg_router *router = gg_plane_enter(plane);

    return gg_plane_leave(plane, gg_router_worker_failed(router, endpoint,
                                                         document, size, now));
}

void gg_plane_close(struct gg_plane *plane, uint32_t peer)
{
    gg_router_close(gg_plane_enter(plane), peer);
    (void)gg_plane_leave(plane, GG_OK);
}

int gg_plane_detach(struct gg_plane *plane, uint32_t peer,
                    const uint8_t *document, size_t size, double now)
{
    struct gg_router *router = gg_plane_enter(plane);

    return gg_plane_leave(plane,
                          gg_router_detach(router, peer, document, size, now));
}

int gg_plane_cut(struct gg_plane *plane, uint32_t peer, const uint8_t *reason,
                 size_t size, double now)
{
    struct gg_router *router = gg_plane_enter(plane);

    return gg_plane_leave(plane,
                          gg_router_cut(router, peer, reason, size, now));
}

int gg_plane_hold(struct gg_plane *plane, uint32_t peer, int held)
{
    struct gg_router *router = gg_plane_enter(plane);

    return gg_plane_leave(plane, gg_router_hold(router, peer, held));
}

int gg_plane_receive(struct gg_plane *plane, uint32_t peer, const uint8_t *data,
                     const struct gg_frame *frame, double now)
{
    struct gg_router *router = gg_plane_enter(plane);

    return gg_plane_leave(plane,
                          gg_router_receive(router, peer, data, frame, now));
}

/* The ring peer that waits for the result of a worker; NULL if it is none. */
static const struct gg_link *awaiting(const struct gg_plane *plane,
                                      uint32_t peer)
{
    const struct gg_peer *known = gg_table_get(&plane->router->peers, peer);
    const struct gg_item *item;

    if (known == NULL || known->worker == NULL ||
        known->worker->sent.first == NULL)
        return NULL;
    item = GG_OF(known->worker->sent.first, struct gg_item, place);
    return item->caller == NULL ? NULL
                                : gg_plane_link(plane, item->caller->number);
}

/* A result that needs a descriptor is written into it at once, not copied
 * before. NULL if it needs none, or there is none to be had. */
static struct gg_blob *written(struct gg_plane *plane, uint32_t peer,
                               const struct gg_view *view)
{
    const struct gg_link *link = awaiting(plane, peer);
    uint64_t length = GG_FRAME_HEADER + sizeof view->id + view->payload.size;
    struct gg_blob *content;
    int fd = -1;

    if (link == NULL || gg_link_takes_inline(link, length) ||
        plane->handles >= GG_HANDLES_MOST ||
        view->payload.size > plane->router->work.payload_bytes ||
        view->payload.size > GG_BULK_MOST ||
        gg_bulk_create(view->payload.at, (uint32_t)view->payload.size, &fd) !=
            GG_OK)
        return NULL;
    content = gg_blob_held(&plane->memory, fd, view->payload.size);
    if (content == NULL)
        (void)close(fd);
    else
        plane->handles++;
    return content;
}

/* A payload that ends with lent bytes. With many descriptors under way they are
 * read now. NULL without memory. */
static struct gg_blob *lent(struct gg_plane *plane, struct gg_bytes head,
                            const struct gg_ending *ending)
{
    size_t size = (size_t)ending->lent;
    struct gg_blob *content;

    if (plane->handles < GG_HANDLES_MOST) {
        content = gg_blob_lent(&plane->memory, head, ending->file,
                               ending->offset, size);
        plane->handles += content != NULL;
        return content;
    }
    content =
        gg_memory_take(&plane->memory, sizeof *content + head.size + size);
    if (content == NULL)
        return NULL;
    gg_blob_init(content, head.size + size);
    if (head.size > 0)
        memcpy(content->bytes, head.at, head.size);
    gg_lent_read(ending->file, ending->offset, (uint32_t)size,
                 content->bytes + head.size);
    return content;
}

/* A result that was received takes its file over; another one may come again. */
static void take_file(struct gg_plane *plane, struct gg_blob *content, int file,
                      int received)
{
    int held = content->handle != GG_NO_HANDLE;

    if (received && !held)
        (void)close(file);
    if (!received && held) {
        content->handle = GG_NO_HANDLE;
        plane->handles--;
    }
}

/* Receive one result; `content` is its payload if that is not in memory. */
static int take_result(struct gg_plane *plane, uint32_t peer,
                       struct gg_view *view, struct gg_blob *content,
                       double now)
{
    view->content = content;
    if (content != NULL) {
        view->payload.at = NULL;
        view->payload.size = content->length;
    }
    return gg_router_take(plane->router, peer, view, now);
}

static int end_item(struct gg_plane *plane, uint32_t peer,
                    const struct gg_ending *ending, struct gg_view *view,
                    double now)
{
    struct gg_blob *content;
    int status;

    view->id = ending->id;
    view->payload.size = (size_t)ending->size;
    if (ending->lent == 0) {
        content = written(plane, peer, view);
        status = take_result(plane, peer, view, content, now);
    } else {
        content = lent(plane, view->payload, ending);
        if (content == NULL)
            return GG_ENOMEM;
        status = take_result(plane, peer, view, content, now);
        take_file(plane, content, ending->file, status != GG_ENOMEM);
    }
    gg_blob_drop(&plane->memory, content);
    return status;
}

size_t gg_plane_end(struct gg_plane *plane, uint32_t peer, uint32_t endpoint,
                    const uint8_t *payloads, const struct gg_ending *endings,
                    size_t count, double now)
{
    struct gg_view view = {.endpoint = endpoint, .kind = GG_RESULT};
    int status = GG_OK;
    size_t done = 0;

    (void)gg_plane_enter(plane);
    while (done < count && status != GG_ENOMEM) {
        view.payload.at = payloads;
        status = end_item(plane, peer, &endings[done], &view, now);
        payloads += endings[done].size;
        done += status != GG_ENOMEM;
    }
    (void)gg_plane_leave(plane, GG_OK);
    return done;
}

double gg_plane_next_deadline(struct gg_plane *plane)
{
    double deadline = gg_router_next_deadline(gg_plane_enter(plane));

    (void)gg_plane_leave(plane, GG_OK);
    return deadline;
}

size_t gg_plane_fault(struct gg_plane *plane, uint8_t *buffer, size_t size)
{
    size_t there = 0;
    const uint8_t *words = gg_router_fault(gg_plane_enter(plane), &there);

    if (there < size)
        size = there;
    if (size > 0)
        memcpy(buffer, words, size);
    (void)gg_plane_leave(plane, GG_OK);
    return there;
}

void gg_plane_counts(struct gg_plane *plane, struct gg_router_counts *counts)
{
    gg_router_counts(gg_plane_enter(plane), counts);
    (void)gg_plane_leave(plane, GG_OK);
}

int gg_plane_is_busy(struct gg_plane *plane, uint32_t peer)
{
    struct gg_router *router = gg_plane_enter(plane);

    return gg_plane_leave(plane, gg_router_is_busy(router, peer));
}

int gg_plane_snapshot(struct gg_plane *plane, uint32_t endpoint,
                      uint8_t *buffer, size_t size, size_t *needed)
{
    struct gg_router *router = gg_plane_enter(plane);

    return gg_plane_leave(
        plane, gg_router_snapshot(router, endpoint, buffer, size, needed));
}
