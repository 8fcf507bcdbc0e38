/* SPDX-License-Identifier: Apache-2.0 */
/* The one thread of the plane: whom it serves, and when it sleeps. */
#include "gg/plane_parts.h"

#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS = 64,
    LOOK_COST = 8, /* of a link, in frames, so that idle ones are bounded too */
    SLACK_NS = 1000, /* of timers */
    NS_PER_MS = 1000000
};

static const int64_t NEVER = INT64_MAX;
static const int64_t OVER = -1; /* in place of a sleep */

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

/* The first of those who are to be looked at soon; NULL for none. */
static struct gg_link *next_look(const struct gg_plane *plane)
{
    return plane->soon.first == NULL
               ? NULL
               : GG_OF(plane->soon.first, struct gg_link, place);
}

static void look_again(struct gg_plane *plane)
{
    int64_t now = plane->soon.first == NULL ? 0 : gg_clock();
    struct gg_link *link;

    while ((link = next_look(plane)) != NULL && link->look_at <= now)
        gg_link_move(link, &plane->active);
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

/* How long the thread may sleep, in nanoseconds. */
static int64_t plan_sleep(struct gg_plane *plane, double now)
{
    double until = gg_router_next_deadline(plane->router);
    const struct gg_link *link = next_look(plane);
    int64_t sleep_ns = NEVER;

    if (plane->active.first != NULL || plane->stopping)
        return 0;
    if (plane->retry && plane->retry_at < until)
        until = plane->retry_at;
    plane->asleep = 1;
    plane->sleeps_until = until;
    if (until - now < INT_MAX) /* also for GG_NEVER */
        sleep_ns = until <= now ? 0 : (int64_t)((until - now) * 1e9) + 1;
    if (link != NULL) {
        int64_t look_ns = link->look_at - gg_clock();

        if (look_ns < sleep_ns)
            sleep_ns = look_ns < 0 ? 0 : look_ns;
    }
    return sleep_ns;
}

/* Milliseconds are for deadlines. Who is looked at soon needs a finer clock,
 * which epoll_wait() has on newer systems only, but poll() everywhere. */
static int wait_for_events(int epoll, struct epoll_event *events,
                           int64_t sleep_ns)
{
    int64_t ms = sleep_ns / NS_PER_MS + (sleep_ns % NS_PER_MS != 0);
    int count;

    if (sleep_ns == NEVER) {
        ms = -1;
    } else if (sleep_ns > 0 && sleep_ns < NS_PER_MS) {
        struct pollfd one = {.fd = epoll, .events = POLLIN};
        struct timespec pause = {.tv_nsec = (long)sleep_ns};

        if (ppoll(&one, 1, &pause, NULL) <= 0)
            return 0;
        ms = 0;
    }
    count = epoll_wait(epoll, events, EVENTS, ms < INT_MAX ? (int)ms : INT_MAX);
    return count < 0 ? 0 : count; /* a signal */
}

/* One round with the lock; returns how long to sleep, or OVER. */
static int64_t make_round(struct gg_plane *plane,
                          const struct epoll_event *events, int count)
{
    double now = gg_plane_now();
    int64_t sleep_ns = OVER;
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
        look_again(plane);
        for (int i = 0; i < count; i++)
            hear(plane, &events[i]);
        gg_plane_turn(plane);
        serve(plane);
        sleep_ns = plan_sleep(plane, gg_plane_now());
    }
    (void)gg_plane_leave(plane, GG_OK);
    return sleep_ns;
}

void gg_plane_run(struct gg_plane *plane)
{
    struct epoll_event events[EVENTS];
    int count = 0;
    int64_t sleep_ns;

    (void)prctl(PR_SET_TIMERSLACK, SLACK_NS); /* of this thread */
    while ((sleep_ns = make_round(plane, events, count)) != OVER)
        count = wait_for_events(plane->epoll, events, sleep_ns);
}

void gg_plane_stop(struct gg_plane *plane)
{
    (void)gg_plane_enter(plane);
    plane->stopping = 1;
    gg_event_ring(plane->command);
    (void)gg_plane_leave(plane, GG_OK);
}
