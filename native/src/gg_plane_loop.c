/* SPDX-License-Identifier: Apache-2.0 */
/* The one thread of the plane: whom it serves, and when it sleeps. */
#include "gg/plane_parts.h"

#include <limits.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    EVENTS = 64,
    LOOK_COST = 8 /* of a link, in frames, so that idle ones are bounded too */
};

/* What an event says. A link may have gone since, and its number with it. */
static void hear(struct gg_plane *plane, const struct epoll_event *event)
{
    struct gg_link *link;

    if (event->data.u64 == GG_COMMAND) {
        uint64_t count;
        ssize_t got = read(plane->command, &count, sizeof count);

        (void)got; /* it has woken us, that is all */
        return;
    }
    link = gg_plane_link(plane, (uint32_t)(event->data.u64 >> 1));
    if (link == NULL)
        return;
    if ((event->data.u64 & 1) == 0)
        gg_link_wake(plane, link);
    else if (link->over) /* retired, and then found out: it has no say */
        (void)epoll_ctl(plane->epoll, EPOLL_CTL_DEL, link->socket, NULL);
    else if (!gg_link_read(plane, link))
        gg_link_waste(plane, link);
}

/* Look again at those for whom something was short. */
static void unblock(struct gg_plane *plane, double now)
{
    if (!plane->retry || now < plane->retry_at)
        return;
    plane->retry = 0;
    while (plane->blocked.first != NULL)
        gg_link_move(GG_OF(plane->blocked.first, struct gg_link, place),
                     &plane->active);
}

/* Serve those who are active in turn, no more than a batch in all. */
static void serve(struct gg_plane *plane)
{
    int left = GG_BATCH_FRAMES;

    while (plane->active.first != NULL && left > 0) {
        left -= LOOK_COST + gg_link_serve(plane,
                                          GG_OF(plane->active.first,
                                                struct gg_link, place));
        gg_plane_turn(plane);
    }
}

/* How long the thread may sleep, in milliseconds rounded up. */
static int plan_sleep(struct gg_plane *plane, double now)
{
    double until = gg_router_next_deadline(plane->router);
    double ms;

    if (plane->active.first != NULL || plane->stopping)
        return 0;
    if (plane->retry && plane->retry_at < until)
        until = plane->retry_at;
    plane->asleep = 1;
    plane->sleeps_until = until;
    if (until >= GG_NEVER)
        return -1;
    ms = (until - now) * 1000;
    if (ms <= 0)
        return 0;
    return ms < INT_MAX - 1 ? (int)ms + ((int)ms < ms) : INT_MAX;
}

/* One round with the lock; returns how long to sleep, INT_MIN to end. */
static int make_round(struct gg_plane *plane, const struct epoll_event *events,
                      int count)
{
    double now = gg_plane_now();
    int sleep_ms = INT_MIN;
    int status;

    (void)gg_plane_enter(plane);
    plane->asleep = 0;
    plane->sleeps_until = -GG_NEVER;
    if (!plane->stopping) {
        status = gg_router_step(plane->router, now);
        if (status < 0) {
            plane->fault = status;
            gg_plane_retry(plane);
        }
        unblock(plane, now);
        for (int i = 0; i < count; i++)
            hear(plane, &events[i]);
        gg_plane_turn(plane);
        serve(plane);
        sleep_ms = plan_sleep(plane, gg_plane_now());
    }
    (void)gg_plane_leave(plane, GG_OK);
    return sleep_ms;
}

void gg_plane_run(struct gg_plane *plane)
{
    struct epoll_event events[EVENTS];
    int count = 0;
    int sleep_ms;

    while ((sleep_ms = make_round(plane, events, count)) != INT_MIN) {
        count = epoll_wait(plane->epoll, events, EVENTS, sleep_ms);
        if (count < 0) /* a signal */
            count = 0;
    }
}

void gg_plane_stop(struct gg_plane *plane)
{
    (void)gg_plane_enter(plane);
    plane->stopping = 1;
    gg_event_ring(plane->command);
    (void)gg_plane_leave(plane, GG_OK);
}
