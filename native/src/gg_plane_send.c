/* SPDX-License-Identifier: Apache-2.0 */
/* Ring peers: their life, and what is put out for them. */
#include "gg/plane_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* --- life --- */

struct gg_link *gg_plane_link(const struct gg_plane *plane, uint32_t number)
{
    return gg_table_get(&plane->links, number);
}

void gg_link_move(struct gg_link *link, struct gg_list *list)
{
    if (link->in != NULL)
        gg_list_remove(link->in, &link->place);
    link->in = list;
    if (list != NULL)
        gg_list_append(list, &link->place);
}

static int watch(const struct gg_plane *plane, int fd, uint32_t events,
                 uint64_t what)
{
    struct epoll_event event = {.events = events, .data.u64 = what};

    return epoll_ctl(plane->epoll, EPOLL_CTL_ADD, fd, &event);
}

static void close_keeping_errno(int fd)
{
    int error = errno;

    (void)close(fd);
    errno = error;
}

/* Make the segment and the port, and the descriptors for the worker. */
static int open_port(struct gg_link *link, uint32_t ring_bytes, int *segment,
                     int *event)
{
    struct gg_segment mapped;
    int status = gg_segment_create(&mapped, ring_bytes, ring_bytes, segment);

    if (status != GG_OK)
        return status;
    status =
        gg_port_init(&link->port, &mapped, GG_SIDE_CORE, -1, link->socket, 0);
    if (status == GG_OK) {
        status = gg_event_create(event);
        if (status == GG_OK) {
            link->event = fcntl(*event, F_DUPFD_CLOEXEC, 0);
            if (link->event != -1)
                return GG_OK;
            status = GG_ESYSTEM;
            close_keeping_errno(*event);
        }
        gg_port_free(&link->port);
    }
    close_keeping_errno(*segment);
    return status;
}

/* The plane with its lock, the number known to be new. */
static int connect_link(struct gg_plane *plane, struct gg_link *link,
                        uint32_t ring_bytes, int *segment, int *event)
{
    uint64_t name = (uint64_t)link->number << 1;
    int status;

    if (gg_table_reserve(&plane->memory, &plane->links) != GG_OK)
        return GG_ENOMEM;
    status = open_port(link, ring_bytes, segment, event);
    if (status != GG_OK)
        return status;
    if (watch(plane, link->event, EPOLLIN | EPOLLET, name) != 0 ||
        watch(plane, link->socket, EPOLLIN | EPOLLRDHUP, name | 1) != 0) {
        int error = errno;

        gg_port_free(&link->port);
        (void)close(link->event);
        (void)close(*event);
        (void)close(*segment);
        errno = error;
        return GG_ESYSTEM;
    }
    gg_table_put(&plane->links, link->number, NULL, link);
    return GG_OK;
}

int gg_plane_connect(struct gg_plane *plane, uint32_t peer, int socket,
                     uint32_t ring_bytes, int *segment, int *event)
{
    struct gg_link *link;
    int status;

    (void)gg_plane_enter(plane);
    if (plane->epoll == -1 || peer == GG_CORE ||
        gg_plane_link(plane, peer) != NULL)
        return gg_plane_leave(plane, GG_EINVAL);
    link = gg_memory_take(&plane->memory, sizeof *link);
    if (link == NULL)
        return gg_plane_leave(plane, GG_ENOMEM);
    memset(link, 0, sizeof *link);
    link->number = peer;
    link->socket = socket;
    link->event = -1;
    link->wakes = GG_WAKES_MOST;
    status = connect_link(plane, link, ring_bytes, segment, event);
    if (status != GG_OK)
        gg_memory_free(&plane->memory, link);
    return gg_plane_leave(plane, status);
}

/* Out of every list and table; its descriptors stay until it is freed. */
void gg_link_bury(struct gg_plane *plane, struct gg_link *link)
{
    const struct gg_bytes nothing = {NULL, 0};

    link->over = 1;
    if (link->touched)
        gg_list_remove(&plane->touched, &link->touch);
    link->touched = 0;
    gg_table_remove(&plane->memory, &plane->links,
                    gg_table_find(&plane->links, link->number, nothing));
    gg_link_move(link, &plane->dead);
}

/* Closing takes the descriptors out of the epoll set: but for the eventfd,
 * which the worker has as well. */
void gg_link_free(struct gg_plane *plane, struct gg_link *link)
{
    (void)epoll_ctl(plane->epoll, EPOLL_CTL_DEL, link->event, NULL);
    (void)epoll_ctl(plane->epoll, EPOLL_CTL_DEL, link->socket, NULL);
    (void)gg_port_flush(&link->port);
    gg_port_free(&link->port);
    (void)close(link->event);
    (void)close(link->socket);
    while (link->bulk_used != link->bulk_descriptors)
        (void)close(link->bulk[link->bulk_used++ % GG_BULK_IN_FLIGHT]);
    gg_outputs_clear(&plane->memory, &link->overflow);
    gg_memory_free(&plane->memory, link->tail);
    gg_memory_free(&plane->memory, link);
}

/* --- cutting off --- */

void gg_link_cut(struct gg_plane *plane, struct gg_link *link,
                 struct gg_text *text)
{
    struct gg_blob *reason = gg_text_done(text);
    int status = GG_ENOMEM;

    if (reason != NULL && !link->over)
        status = gg_router_cut(plane->router, link->number, reason->bytes,
                               reason->size, gg_plane_now());
    gg_blob_drop(&plane->memory, reason);
    if (status == GG_OK)
        link->over = 1; /* the turn buries it */
    else
        gg_link_block(plane, link); /* it will be found out again */
}

void gg_link_break(struct gg_plane *plane, struct gg_link *link,
                   const char *what, int status)
{
    struct gg_text text = gg_text_new(&plane->memory);

    gg_text_word(&text, what);
    if (status != GG_OK) {
        gg_text_word(&text, ": ");
        gg_text_word(&text, gg_strerror(status));
    }
    gg_link_cut(plane, link, &text);
}

void gg_link_block(struct gg_plane *plane, struct gg_link *link)
{
    if (link->over)
        return;
    gg_link_move(link, &plane->blocked);
    gg_plane_retry(plane);
}

/* --- frames for it --- */

static size_t length_of(const struct gg_output *frame)
{
    return GG_FRAME_HEADER + frame->topic.size + frame->context.size +
           frame->payload.size;
}

static uint32_t half_of(const struct gg_link *link)
{
    return gg_ring_inline(link->port.segment.down_capacity);
}

int gg_link_takes_inline(const struct gg_link *link, uint64_t length)
{
    return length <= half_of(link);
}

/* Whether its payload needs a descriptor, or is one already. */
static int is_bulk(const struct gg_link *link, const struct gg_output *frame)
{
    return length_of(frame) > half_of(link) ||
           (frame->payload.at == NULL && frame->payload.size > 0);
}

/* Put one frame into the ring, or as a bulk message on its way. */
static int push(struct gg_link *link, const struct gg_output *frame)
{
    const struct gg_blob *elsewhere = gg_blob_elsewhere(frame->blob);
    size_t length = length_of(frame);
    struct gg_header header = {.id = frame->id,
                               .length = (uint32_t)length,
                               .context_size = (uint32_t)frame->context.size,
                               .endpoint = frame->endpoint,
                               .topic_size = (uint16_t)frame->topic.size,
                               .kind = frame->kind,
                               .flags = frame->flags};

    if (length > UINT32_MAX)
        return GG_ELENGTH;
    if (frame->blob != NULL && frame->blob->secret)
        header.kind |= GG_WIPE;
    if (elsewhere != NULL) {
        struct gg_lent lent = {elsewhere->offset, elsewhere->bytes,
                               (uint32_t)elsewhere->size};

        return gg_port_pass(&link->port, &header, frame->topic.at,
                            frame->context.at, elsewhere->handle,
                            (uint32_t)(frame->payload.size - elsewhere->size),
                            elsewhere->lent ? &lent : NULL);
    }
    if (!is_bulk(link, frame))
        return gg_port_stage(&link->port, &header, frame->topic.at,
                             frame->context.at, frame->payload.at);
    /* In a memfd, which nobody has after it was read. */
    return gg_port_send(&link->port, frame->kind, frame->flags, frame->endpoint,
                        frame->id, frame->topic.at, header.topic_size,
                        frame->context.at, header.context_size,
                        frame->payload.at, (uint32_t)frame->payload.size, 0);
}

/* Whether a frame that was not sent can be later: the ring or the socket is
 * full, or the core is short of something. */
static int is_for_later(int status)
{
    return status == GG_AGAIN || status == GG_ESYSTEM;
}

/* What is wrong with a peer whom a frame could not be sent. Whose socket has
 * gone will be told by its end. */
static void blame(struct gg_plane *plane, struct gg_link *link, int status)
{
    if (status == GG_ERING)
        gg_link_break(plane, link, "broke its ring", status);
    else if (status != GG_ECLOSED)
        gg_link_break(plane, link, "has no room for a frame in its ring",
                      status);
}

static int let_wait(struct gg_plane *plane, struct gg_link *link,
                    struct gg_outputs *outputs)
{
    struct gg_text text;

    if (gg_outputs_reserve(&plane->memory, &link->overflow, 1) != GG_OK)
        return GG_ENOMEM;
    link->overflow_bytes += gg_record_size(gg_outputs_first(outputs));
    gg_outputs_move(outputs, &link->overflow);
    if (!link->held)
        link->held = gg_router_hold_for(plane->router, link->number,
                                        GG_HELD_BY_PLANE, 1) == GG_OK;
    if (link->overflow_bytes <= plane->unread_limit)
        return GG_OK;
    text = gg_text_new(&plane->memory);
    gg_text_word(&text, "did not read: ");
    gg_text_number(&text, link->overflow_bytes);
    gg_text_word(&text, " bytes wait for it");
    gg_link_cut(plane, link, &text);
    return GG_OK;
}

int gg_link_put(struct gg_plane *plane, struct gg_link *link,
                struct gg_outputs *outputs)
{
    int status = GG_AGAIN;

    if (link->over) {
        gg_outputs_taken(&plane->memory, outputs);
        return GG_OK;
    }
    if (!link->touched)
        gg_list_append(&plane->touched, &link->touch);
    link->touched = 1;
    if (link->overflow.count == 0)
        status = push(link, gg_outputs_first(outputs));
    if (is_for_later(status))
        return let_wait(plane, link, outputs);
    gg_outputs_taken(&plane->memory, outputs);
    if (status != GG_OK)
        blame(plane, link, status);
    return GG_OK;
}

/* Send of what waits as much as there is room for. */
static int push_waiting(struct gg_plane *plane, struct gg_link *link)
{
    const struct gg_output *first;

    while (!link->over &&
           (first = gg_outputs_first(&link->overflow)) != NULL) {
        int status = push(link, first);

        if (is_for_later(status))
            return GG_AGAIN;
        link->overflow_bytes -= gg_record_size(first);
        gg_outputs_taken(&plane->memory, &link->overflow);
        if (status != GG_OK)
            blame(plane, link, status);
    }
    return GG_OK;
}

uint32_t gg_link_need(const struct gg_link *link)
{
    const struct gg_output *first = gg_outputs_first(&link->overflow);

    /* A worker tells of room when half its ring is free, and of a bulk message
     * that it took. */
    return first != NULL && is_bulk(link, first) ? UINT32_MAX : half_of(link);
}

void gg_link_settle(struct gg_plane *plane, struct gg_link *link)
{
    int status = GG_AGAIN;
    int tries = 2; /* with room, and in vain */

    if (link->touched)
        gg_list_remove(&plane->touched, &link->touch);
    link->touched = 0;
    while (tries > 0 && status == GG_AGAIN) {
        size_t waiting = link->overflow.count;

        status = push_waiting(plane, link);
        (void)gg_port_flush(&link->port); /* before room is waited for */
        if (status == GG_AGAIN &&
            gg_port_park(&link->port, GG_WANT_ROOM, gg_link_need(link)) ==
                GG_AGAIN)
            return; /* the worker will wake us */
        /* A quick one makes room as fast as it is filled. */
        tries = link->overflow.count < waiting ? 2 : tries - 1;
    }
    if (status == GG_AGAIN) {
        /* There is room, but its socket is full, or descriptors are short. */
        gg_link_block(plane, link);
        return;
    }
    if (link->over)
        return;
    gg_outputs_clear(&plane->memory, &link->overflow);
    if (!link->held)
        return;
    if (gg_router_hold_for(plane->router, link->number, GG_HELD_BY_PLANE, 0) ==
        GG_OK)
        link->held = 0;
    else
        gg_link_block(plane, link);
}
