/* SPDX-License-Identifier: Apache-2.0 */
/* The plane: its lock, its turn, and the inbox of its owner. */
#include "gg/plane_parts.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

static const double RETRY_S = 0.01; /* after memory ran out */

double gg_plane_now(void)
{
    return (double)gg_clock() / 1e9; /* as time.monotonic() rounds it */
}

/* --- life --- */

static void close_all(struct gg_plane *plane)
{
    int *descriptors[] = {&plane->epoll, &plane->command, &plane->relief,
                          &plane->news};

    for (size_t i = 0; i < sizeof descriptors / sizeof descriptors[0]; i++) {
        if (*descriptors[i] != -1)
            (void)close(*descriptors[i]);
        *descriptors[i] = -1;
    }
}

int gg_plane_open(struct gg_plane *plane)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = GG_COMMAND};
    int error;

    if (plane->epoll != -1)
        return GG_EINVAL;
    plane->epoll = epoll_create1(EPOLL_CLOEXEC);
    plane->relief = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    if (plane->epoll != -1 && plane->relief != -1 &&
        gg_event_create(&plane->command) == GG_OK &&
        gg_event_create(&plane->news) == GG_OK &&
        epoll_ctl(plane->epoll, EPOLL_CTL_ADD, plane->command, &event) == 0)
        return GG_OK;
    error = errno;
    close_all(plane);
    errno = error;
    return GG_ESYSTEM;
}

/* The router dropped the last reference to a payload. */
static void release(void *owner, int handle)
{
    struct gg_plane *plane = owner;

    plane->handles--;
    (void)close(handle);
}

int gg_plane_new(const struct gg_plane_options *options,
                 struct gg_plane **plane)
{
    struct gg_memory memory = options->router.memory == NULL
                                  ? gg_memory_default()
                                  : *options->router.memory;
    struct gg_plane *made = gg_memory_take(&memory, sizeof *made);
    struct gg_router_options router = options->router;
    int status;

    if (made == NULL)
        return GG_ENOMEM;
    memset(made, 0, sizeof *made);
    memory.release = release;
    memory.owner = made;
    made->memory = memory;
    router.memory = &made->memory;
    made->inbox_limit = options->inbox_bytes;
    made->unread_limit = options->unread_bytes;
    made->epoll = -1;
    made->command = -1;
    made->relief = -1;
    made->worth = GG_WORTH_LEADING;
    made->news = -1;
    status = gg_router_new(&router, &made->router);
    if (status != GG_OK) {
        gg_memory_free(&memory, made);
        return status;
    }
    (void)pthread_mutex_init(&made->gate, NULL);
    (void)pthread_mutex_init(&made->machine, NULL);
    *plane = made;
    return GG_OK;
}

void gg_plane_free(struct gg_plane *plane)
{
    struct gg_memory memory;

    if (plane == NULL)
        return;
    memory = plane->memory;
    for (size_t i = 0; plane->links.slots != NULL && i <= plane->links.mask;
         i++)
        if (plane->links.slots[i].used)
            gg_link_free(plane, plane->links.slots[i].value);
    gg_table_clear(&memory, &plane->links);
    gg_outputs_clear(&memory, &plane->inbox);
    gg_router_free(plane->router);
    close_all(plane);
    (void)pthread_mutex_destroy(&plane->machine);
    (void)pthread_mutex_destroy(&plane->gate);
    gg_memory_free(&memory, plane);
}

int gg_plane_has_news(const struct gg_plane *plane)
{
    return plane->inbox.count > 0 || plane->fault != GG_OK ? GG_HAS_NEWS : 0;
}

/* Note for the owner whether it has something to take; returns whether it must
 * be told so. */
static int note_news(struct gg_plane *plane)
{
    int news = gg_plane_has_news(plane) != 0;
    int comes_back = plane->led && plane->away_since != 0; /* and looks then */
    int tells = news && !plane->told && plane->news != -1 && !comes_back;

    if (tells)
        plane->told = 1;
    gg_store_relaxed(&plane->waits,
                     news || plane->told ||
                         plane->router->routes.counted_count > 0);
    return tells;
}

/* --- the lock --- */

/* Whoever waits for the machine holds the gate, so that the one who has just
 * given the machine up cannot take it again before. */
struct gg_router *gg_plane_enter(struct gg_plane *plane)
{
    (void)pthread_mutex_lock(&plane->gate);
    (void)pthread_mutex_lock(&plane->machine);
    (void)pthread_mutex_unlock(&plane->gate);
    return plane->router;
}

int gg_plane_leave(struct gg_plane *plane, int status)
{
    int tells;

    gg_plane_turn(plane);
    while (plane->dead.first != NULL) {
        struct gg_link *link = GG_OF(plane->dead.first, struct gg_link, place);

        gg_link_move(link, NULL);
        gg_link_free(plane, link);
    }
    tells = note_news(plane);
    (void)pthread_mutex_unlock(&plane->machine);
    if (tells) /* only now: it wants the lock as soon as it wakes */
        gg_event_ring(plane->news);
    return status;
}

void gg_plane_rouse(struct gg_plane *plane)
{
    if (plane->asleep)
        gg_event_ring(plane->command);
    plane->asleep = 0;
}

void gg_plane_retry(struct gg_plane *plane)
{
    plane->retry_at = gg_plane_now() + RETRY_S;
    plane->retry = 1;
    if (plane->retry_at < plane->sleeps_until)
        gg_plane_rouse(plane);
}

/* --- the turn --- */

/* Keep the messages back that the router has for those whom the owner drives,
 * or let them go. What did not succeed is tried again by the next take. */
static void set_crowded(struct gg_plane *plane, int crowded)
{
    const struct gg_table *peers = &plane->router->peers;

    plane->crowded = crowded != 0;
    for (size_t i = 0; i <= peers->mask; i++) {
        const struct gg_slot *slot = &peers->slots[i];

        if (slot->used && gg_plane_link(plane, slot->number) == NULL &&
            gg_router_hold_for(plane->router, slot->number, GG_HELD_BY_PLANE,
                               crowded) != GG_OK)
            plane->crowded = 1;
    }
}

static int may_be_skipped(uint8_t type)
{
    return type == GG_TAPPED || type == GG_UNROUTED || type == GG_FINISHED;
}

struct gg_output *gg_plane_add(struct gg_plane *plane, uint8_t type)
{
    if (gg_outputs_reserve(&plane->memory, &plane->inbox, 1) != GG_OK)
        return NULL;
    return gg_outputs_add(&plane->inbox, type);
}

void gg_plane_added(struct gg_plane *plane, const struct gg_output *output)
{
    plane->inbox_bytes += gg_record_size(output);
    if (plane->inbox_bytes > plane->inbox_limit && !plane->crowded)
        set_crowded(plane, 1);
}

/* Count one more record that is left out, at this place in the inbox. */
static int skip(struct gg_plane *plane)
{
    struct gg_output *last = gg_outputs_last(&plane->inbox);

    if (last == NULL || last->type != GG_SKIPPED) {
        last = gg_plane_add(plane, GG_SKIPPED);
        if (last == NULL)
            return GG_ENOMEM;
        gg_plane_added(plane, last);
    }
    last->id++;
    gg_outputs_taken(&plane->memory, &plane->router->work.outputs);
    return GG_OK;
}

/* Move the first output of the router to the inbox. */
static int keep(struct gg_plane *plane)
{
    struct gg_outputs *outputs = &plane->router->work.outputs;
    const struct gg_output *first = gg_outputs_first(outputs);
    uint64_t limit = plane->inbox_limit;
    struct gg_link *link;

    /* What is only shown must not delay what somebody waits for. */
    if (first->type == GG_TAPPED)
        limit /= 8;
    if (plane->inbox_bytes > limit && may_be_skipped(first->type))
        return skip(plane);
    if (gg_outputs_reserve(&plane->memory, &plane->inbox, 1) != GG_OK)
        return GG_ENOMEM;
    if (first->type == GG_CUT_OFF) {
        link = gg_plane_link(plane, first->peer);
        if (link != NULL)
            gg_link_bury(plane, link);
    }
    gg_outputs_move(outputs, &plane->inbox);
    gg_plane_added(plane, gg_outputs_last(&plane->inbox));
    return GG_OK;
}

static int move_outputs(struct gg_plane *plane)
{
    struct gg_outputs *outputs = &plane->router->work.outputs;
    const struct gg_output *first;
    int status = GG_OK;

    while (status == GG_OK && (first = gg_outputs_first(outputs)) != NULL) {
        struct gg_link *link = first->type == GG_SEND
                                   ? gg_plane_link(plane, first->peer)
                                   : NULL;

        status = link == NULL ? keep(plane) : gg_link_put(plane, link, outputs);
    }
    return status;
}

void gg_plane_turn(struct gg_plane *plane)
{
    int status;

    do {
        status = move_outputs(plane);
        while (plane->touched.first != NULL)
            gg_link_settle(plane,
                           GG_OF(plane->touched.first, struct gg_link, touch));
    } while (status == GG_OK && plane->router->work.outputs.count > 0);
    if (status != GG_OK) {
        plane->fault = status;
        gg_plane_retry(plane);
    }
    if (gg_router_next_deadline(plane->router) < plane->sleeps_until)
        gg_plane_rouse(plane);
}

/* --- what the owner takes --- */

/* Fetch a part of a record that lies elsewhere. What cannot be read is zero:
 * only a broken machine cannot read a sealed memfd that was checked, and who
 * was lent bytes looks at them. */
static void fetch(uint8_t *to, struct gg_blob *blob, struct gg_bytes part)
{
    const struct gg_blob *elsewhere = gg_blob_elsewhere(blob);

    if (part.at != NULL || elsewhere == NULL)
        return;
    if (elsewhere->lent) {
        memcpy(to, elsewhere->bytes, elsewhere->size);
        gg_lent_read(elsewhere->handle, elsewhere->offset,
                     (uint32_t)(part.size - elsewhere->size),
                     to + elsewhere->size);
    } else if (gg_bulk_read(elsewhere->handle, (uint32_t)part.size, to) !=
               GG_OK) {
        memset(to, 0, part.size);
    }
}

static void write_record(uint8_t *at, const struct gg_output *output)
{
    uint8_t *end = at + gg_record_size(output) - output->document.size;

    gg_record_write(at, output);
    fetch(end, output->other, output->document);
    fetch(end - output->payload.size, output->blob, output->payload);
}

static void write_inbox(struct gg_plane *plane, uint8_t *buffer, size_t size,
                        struct gg_taken *taken)
{
    const struct gg_output *first;

    while ((first = gg_outputs_first(&plane->inbox)) != NULL) {
        size_t needed = gg_record_size(first);

        if (needed > size - taken->used)
            return;
        write_record(buffer + taken->used, first);
        taken->used += needed;
        plane->inbox_bytes -= needed;
        if (first->type == GG_CONTROL_FRAME) {
            struct gg_link *link = gg_plane_link(plane, first->peer);

            if (link != NULL)
                link->control_bytes -= needed;
        }
        gg_outputs_taken(&plane->memory, &plane->inbox);
    }
}

/* Have the descriptor of the owner tell of what comes from now on. Who is
 * about to ring it has given the lock up by now: then the next take does. */
static void untell(struct gg_plane *plane)
{
    uint64_t count;

    if (read(plane->news, &count, sizeof count) == (ssize_t)sizeof count)
        plane->told = 0;
}

static int take(struct gg_plane *plane, uint8_t *buffer, size_t size,
                struct gg_taken *taken)
{
    write_inbox(plane, buffer, size, taken);
    taken->left = plane->inbox.count;
    taken->rows = plane->router->routes.counted_count;
    if (taken->used == 0 && taken->left > 0) {
        taken->used = gg_record_size(gg_outputs_first(&plane->inbox));
        return GG_ENOSPC;
    }
    if (taken->used > 0 && plane->worth < GG_WORTH_MOST)
        plane->worth += GG_WORTH_OF_NEWS;
    if (plane->crowded && plane->inbox_bytes <= plane->inbox_limit / 2)
        set_crowded(plane, 0);
    if (taken->left == 0 && plane->told)
        untell(plane);
    return GG_OK;
}

int gg_plane_take(struct gg_plane *plane, double now, uint8_t *buffer,
                  size_t size, struct gg_taken *taken)
{
    int status;

    memset(taken, 0, sizeof *taken);
    (void)gg_plane_enter(plane);
    status = gg_router_step(plane->router, now);
    gg_plane_turn(plane);
    if (status >= 0)
        status = plane->fault;
    plane->fault = GG_OK;
    if (status == GG_OK)
        status = take(plane, buffer, size, taken);
    return gg_plane_leave(plane, status);
}

int gg_plane_fd(const struct gg_plane *plane)
{
    return plane->news;
}

const uint32_t *gg_plane_waits(const struct gg_plane *plane)
{
    return (const uint32_t *)&plane->waits;
}
