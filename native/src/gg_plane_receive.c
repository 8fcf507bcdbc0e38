/* SPDX-License-Identifier: Apache-2.0 */
/* Ring peers: what they send, all of which is hostile until it was checked. */
#include "gg/plane_parts.h"

#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    SOCKET_FRAMES = 16, /* decoded at a time */
    SOCKET_READS = 64   /* for a descriptor that must be there */
};

static const double LOOK_S = GG_LOOK_NS / 1e9;

/* Whether the router still listens to it. */
static int is_heard(const struct gg_plane *plane, const struct gg_link *link)
{
    const struct gg_peer *peer =
        gg_table_get(&plane->router->peers, link->number);

    return peer != NULL && !peer->cut;
}

/* --- control frames --- */

static int take_control(struct gg_plane *plane, struct gg_link *link,
                        const struct gg_view *view)
{
    struct gg_output *output;
    struct gg_blob *blob;

    if (!is_heard(plane, link))
        return GG_OK;
    blob = gg_blob_of(&plane->memory, view->topic, view->context, view->payload,
                      NULL);
    output = blob == NULL ? NULL : gg_plane_add(plane, GG_CONTROL_FRAME);
    if (output == NULL) {
        gg_blob_drop(&plane->memory, blob);
        return GG_ENOMEM;
    }
    output->peer = link->number;
    output->kind = view->kind;
    output->flags = view->flags;
    output->endpoint = view->endpoint;
    output->id = view->id;
    output->blob = blob;
    output->topic = gg_blob_slice(blob, 0, view->topic.size);
    output->context =
        gg_blob_slice(blob, view->topic.size, view->context.size);
    output->payload = gg_blob_slice(
        blob, view->topic.size + view->context.size, view->payload.size);
    gg_plane_added(plane, output);
    link->control_bytes += gg_record_size(output);
    if (link->control_bytes > GG_CONTROL_WAITING)
        gg_link_break(plane, link,
                      "sent more control frames than the core takes", GG_OK);
    return GG_OK;
}

/* --- the socket --- */

static void end(struct gg_plane *plane, struct gg_link *link)
{
    struct gg_output *output = gg_plane_add(plane, GG_ENDED);

    if (output == NULL) { /* the socket stays readable, and tells again */
        gg_link_block(plane, link);
        return;
    }
    output->peer = link->number;
    gg_plane_added(plane, output);
    gg_router_close(plane->router, link->number);
    (void)epoll_ctl(plane->epoll, EPOLL_CTL_DEL, link->socket, NULL);
    link->ended = 1;
}

static void keep_descriptor(struct gg_plane *plane, struct gg_link *link,
                            int fd)
{
    if (link->bulk_descriptors - link->bulk_used < GG_BULK_IN_FLIGHT) {
        link->bulk[link->bulk_descriptors++ % GG_BULK_IN_FLIGHT] = fd;
        return;
    }
    (void)close(fd);
    gg_link_break(plane, link, "sent too many descriptors", GG_OK);
}

/* Take one frame of the socket; returns whether it was of use. */
static int take_socket_frame(struct gg_plane *plane, struct gg_link *link,
                             const uint8_t *data, const struct gg_frame *frame)
{
    struct gg_view view = {
        .topic = {data + frame->topic, (size_t)(frame->context - frame->topic)},
        .context = {data + frame->context,
                    (size_t)(frame->payload - frame->context)},
        .payload = {data + frame->payload,
                    (size_t)(frame->end - frame->payload)},
        .id = frame->id,
        .endpoint = frame->endpoint,
        .kind = frame->kind,
        .flags = frame->flags};

    if (frame->kind != GG_CONTROL) {
        gg_link_break(plane, link,
                      "sent on its socket what is no control frame", GG_OK);
        return 1;
    }
    if (frame->end != frame->topic) {
        if (take_control(plane, link, &view) != GG_OK)
            gg_link_break(plane, link, "sent a control frame in vain",
                          GG_ENOMEM);
        return 1;
    }
    if (frame->id == 0) /* it only makes a socket readable */
        return 0;
    if (frame->id != link->bulk_numbers + 1)
        gg_link_break(plane, link, "broke its socket", GG_EBULK);
    link->bulk_numbers++;
    return 1;
}

/* Decode what was read; keep the beginning of a frame for the next time. */
static int take_socket_bytes(struct gg_plane *plane, struct gg_link *link,
                             size_t size)
{
    struct gg_frame frames[SOCKET_FRAMES];
    size_t at = 0;
    int useful = 0;
    int count;

    do {
        count = gg_frames_decode(plane->scratch, size, at, GG_CONTROL_MOST,
                                 frames, SOCKET_FRAMES, &at);
        for (int i = 0; i < count && !link->over; i++)
            useful |=
                take_socket_frame(plane, link, plane->scratch, &frames[i]);
    } while (count > 0 && !link->over);
    if (count < 0 && !link->over)
        gg_link_break(plane, link, "sent on its socket what is no frame",
                      count);
    if (link->over)
        return 1;
    link->tail_size = 0;
    if (at < size) {
        uint8_t *tail = gg_memory_move(&plane->memory, link->tail, size - at);

        if (tail == NULL) {
            gg_link_break(plane, link, "sent a control frame in vain",
                          GG_ENOMEM);
            return 1;
        }
        memcpy(tail, plane->scratch + at, size - at);
        link->tail = tail;
        link->tail_size = size - at;
    }
    return useful;
}

int gg_link_read(struct gg_plane *plane, struct gg_link *link)
{
    size_t before = link->tail_size;
    int fd = -1;
    int got;

    if (link->ended || link->over)
        return 0;
    if (before > 0)
        memcpy(plane->scratch, link->tail, before);
    got = gg_bulk_receive(link->socket, plane->scratch + before,
                          (uint32_t)(sizeof plane->scratch - before), &fd);
    if (got == GG_AGAIN)
        return 0;
    if (got == 0 || got == GG_ESYSTEM) {
        end(plane, link);
        return 1;
    }
    if (got < 0) {
        gg_link_break(plane, link, "broke its socket", got);
        return 1;
    }
    if (fd != -1)
        keep_descriptor(plane, link, fd);
    if (link->over)
        return 1;
    return take_socket_bytes(plane, link, before + (size_t)got) || fd != -1;
}

/* --- the ring --- */

/* The descriptor of the bulk message with this number, which was sent before
 * its reference; -1 if it was not. */
static int descriptor_of(struct gg_plane *plane, struct gg_link *link,
                         uint32_t number)
{
    for (int i = 0; i < SOCKET_READS; i++) {
        if (link->bulk_numbers - link->bulk_used > 0 &&
            link->bulk_descriptors - link->bulk_used > 0)
            break;
        if (!gg_link_read(plane, link) || link->over)
            break;
    }
    if (link->over || number != link->bulk_used + 1 ||
        link->bulk_numbers == link->bulk_used ||
        link->bulk_descriptors == link->bulk_used)
        return -1;
    return link->bulk[link->bulk_used % GG_BULK_IN_FLIGHT];
}

static int take_view(struct gg_plane *plane, struct gg_link *link,
                     const struct gg_view *view, double now)
{
    if (view->kind == GG_CONTROL)
        return take_control(plane, link, view);
    return gg_router_take(plane->router, link->number, view, now);
}

/* Give the router the descriptor instead of the payload. */
static int take_descriptor(struct gg_plane *plane, struct gg_link *link,
                           struct gg_view *view, int fd, double now)
{
    int status;

    view->content = gg_blob_held(&plane->memory, fd, view->payload.size);
    if (view->content == NULL)
        return GG_ENOMEM;
    plane->handles++;
    status = take_view(plane, link, view, now);
    if (status != GG_ENOMEM) {
        link->bulk_used++;
    } else { /* nobody else has it */
        view->content->handle = GG_NO_HANDLE;
        plane->handles--;
    }
    gg_blob_drop(&plane->memory, view->content);
    return status;
}

static int take_content(struct gg_plane *plane, struct gg_link *link,
                        struct gg_view *view, int fd, double now)
{
    uint32_t size = (uint32_t)view->payload.size;
    uint8_t *bytes = gg_memory_take(&plane->memory, size);
    int status;

    if (bytes == NULL)
        return GG_ENOMEM;
    status = gg_bulk_read(fd, size, bytes);
    view->payload.at = bytes;
    if (status == GG_OK)
        status = take_view(plane, link, view, now);
    gg_memory_free(&plane->memory, bytes);
    if (status != GG_ENOMEM) {
        (void)close(fd);
        link->bulk_used++;
    }
    return status;
}

/* Whether the router can do with the descriptor alone, and there are not too
 * many of them: a queue may be longer than the core may have descriptors. */
static int is_passed_on(const struct gg_plane *plane,
                        const struct gg_view *view)
{
    return plane->handles < GG_HANDLES_MOST &&
           (view->kind == GG_PUBLISH || view->kind == GG_INVOKE ||
            view->kind == GG_RESULT);
}

static int take_bulk(struct gg_plane *plane, struct gg_link *link,
                     struct gg_view *view, uint32_t number, double now)
{
    int fd = descriptor_of(plane, link, number);

    if (link->over)
        return GG_OK;
    if (fd == -1 || gg_bulk_check(fd, (uint32_t)view->payload.size) != GG_OK) {
        gg_link_break(plane, link, "broke its ring", GG_EBULK);
        return GG_OK;
    }
    if (is_passed_on(plane, view))
        return take_descriptor(plane, link, view, fd, now);
    return take_content(plane, link, view, fd, now);
}

/* Take one frame out of the ring. Its topic is matched first and copied later,
 * so it is copied here; the rest is looked at once, when it is copied. */
static int take_frame(struct gg_plane *plane, struct gg_link *link,
                      const uint8_t *data, const struct gg_port_view *frame,
                      double now)
{
    uint8_t topic[GG_MAX_TOPIC];
    struct gg_view view = {
        .topic = {topic, frame->context - frame->topic},
        .context = {data + frame->context, frame->payload - frame->context},
        .payload = {data + frame->payload, frame->end - frame->payload},
        .id = frame->id,
        .endpoint = frame->endpoint,
        .kind = frame->kind,
        .flags = frame->flags};

    gg_copy_once(topic, data + frame->topic, view.topic.size);
    if (frame->bulk_size > 0) {
        view.payload.at = NULL;
        view.payload.size = frame->bulk_size;
        return take_bulk(plane, link, &view, frame->bulk_number, now);
    }
    return take_view(plane, link, &view, now);
}

/* Whether a worker that has just answered will soon do so again: it has more
 * in hand, and was quick. */
static int is_at_it(const struct gg_plane *plane, const struct gg_link *link)
{
    const struct gg_peer *peer =
        gg_table_get(&plane->router->peers, link->number);

    return peer != NULL && peer->worker != NULL &&
           peer->worker->sent.count > 0 && peer->worker->last_run_s < LOOK_S;
}

/* Guess of what came whether more will. */
static void guess(const struct gg_plane *plane, struct gg_link *link, int first,
                  double now)
{
    int answers = 0;
    int publishes = 0;

    for (int i = first; i < link->count; i++) {
        answers += link->views[i].kind == GG_RESULT;
        publishes += link->views[i].kind == GG_PUBLISH;
    }
    if (publishes > 0) {
        if (publishes > 1 || now - link->published_at < LOOK_S)
            link->lively = 1;
        link->published_at = now;
    }
    if (answers > 0 && is_at_it(plane, link))
        link->lively = 1;
}

int gg_link_receive(struct gg_plane *plane, struct gg_link *link)
{
    double now;
    const uint8_t *data;
    uint32_t size;
    int first = link->at;

    if (!link->attached || link->over)
        return 0;
    if (link->at == link->count) {
        int count =
            gg_port_receive_batch(&link->port, link->views, GG_BATCH_FRAMES,
                                  GG_BATCH_BYTES, 0, 0);

        if (count == GG_AGAIN)
            return 0;
        if (count <= 0) {
            gg_link_break(plane, link, "broke its ring", count);
            return 0;
        }
        first = link->at = 0;
        link->count = count;
    }
    data = gg_port_data(&link->port, &size);
    now = gg_plane_now();
    while (link->at < link->count && !link->over) {
        int status =
            take_frame(plane, link, data, &link->views[link->at], now);

        if (status == GG_ENOMEM) { /* nothing was changed: go on from here */
            gg_link_block(plane, link);
            return link->at - first;
        }
        if (status != GG_OK)
            plane->fault = status;
        link->at++;
    }
    link->at = link->count;
    guess(plane, link, first, now);
    gg_port_release(&link->port);
    return link->count - first;
}

/* --- wake-ups ---
 *
 * A wake-up costs the core some microseconds, and a worker may cause any
 * number. Each that led to nothing is paid from a purse that time and useful
 * ones fill again; who overdraws it is cut off. An honest worker wakes for
 * nothing when somebody else was faster to take what it sent, which is rare. */

static void earn(struct gg_link *link)
{
    if (link->wakes < GG_WAKES_MOST)
        link->wakes += 1;
}

void gg_link_waste(struct gg_plane *plane, struct gg_link *link)
{
    double now = gg_plane_now();
    struct gg_text text;

    link->wakes += (now - link->wakes_at) * GG_WAKES_A_SECOND;
    if (link->wakes > GG_WAKES_MOST)
        link->wakes = GG_WAKES_MOST;
    link->wakes_at = now;
    link->wakes_wasted++;
    link->wakes -= 1;
    if (link->wakes >= 0)
        return;
    text = gg_text_new(&plane->memory);
    gg_text_word(&text, "woke the core ");
    gg_text_number(&text, link->wakes_wasted);
    gg_text_word(&text, " times for nothing");
    gg_link_cut(plane, link, &text);
}

void gg_link_wake(struct gg_plane *plane, struct gg_link *link)
{
    link->woken = 1;
    if (link->attached && !link->over &&
        (link->in == NULL || link->in == &plane->soon))
        gg_link_move(link, &plane->active);
}

/* Nothing is left to be done for it: let it sleep, unless something came.
 *
 * A wake-up for each message of a flood costs more than all else. So a lively
 * peer is asked to wake us only for what somebody waits for, and is looked at
 * again by ourselves in a moment; when nothing came by then, it wakes us for
 * everything again. */
static void park(struct gg_plane *plane, struct gg_link *link)
{
    int soon = link->lively;
    uint32_t want = soon ? GG_WANT_SOON : GG_WANT_DATA;

    if (link->overflow.count > 0)
        want |= GG_WANT_ROOM;
    if (link->woken)
        gg_link_waste(plane, link);
    link->woken = 0;
    if (link->over || link->in != &plane->active)
        return;
    if (gg_port_park(&link->port, want, gg_link_need(link)) == GG_AGAIN) {
        link->lively = 0;
        link->look_at = soon ? gg_clock() + GG_LOOK_NS : 0;
        gg_link_move(link, soon ? &plane->soon : NULL);
        return;
    }
    link->woken = 1;
    gg_link_move(link, &plane->active);
}

int gg_link_serve(struct gg_plane *plane, struct gg_link *link)
{
    size_t waiting = link->overflow.count;
    int found = 0;
    int frames;

    if (link->over) {
        gg_link_move(link, NULL);
        return 0;
    }
    if (gg_port_hear(&link->port) == 1)
        found = gg_link_read(plane, link);
    frames = gg_link_receive(plane, link);
    if (!link->over && (waiting > 0 || link->held))
        gg_link_settle(plane, link);
    if (link->over || link->in != &plane->active)
        return frames;
    if (!found && frames == 0 && link->overflow.count == waiting) {
        park(plane, link);
        return 0;
    }
    earn(link);
    link->woken = 0;
    gg_link_move(link, &plane->active); /* behind the others */
    return frames;
}
