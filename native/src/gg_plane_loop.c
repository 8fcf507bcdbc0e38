/* SPDX-License-Identifier: Apache-2.0 */
/* The loop of the plane: who makes its rounds, whom they serve, and when it
 * sleeps. */
#include "gg/plane_parts.h"

#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS = 64,
    LOOK_COST = 8, /* of a link, in frames, so that idle ones are bounded too */
    SLACK_NS = 1000, /* of timers */
    NS_PER_MS = 1000000
};

static const int64_t NEVER = INT64_MAX;
static const int64_t OVER = -1; /* in place of a sleep, as is this: */
static const int64_t LED = -2;
static const int64_t AWAY_NS = 500000; /* the owner may be away so long, */
static const int64_t HOLD_NS = 20000000; /* and who was longer is busy so long */

/* What woke who waited. */
struct wake {
    struct epoll_event events[EVENTS];
    int count; /* -1: a signal */
};

/* What an event says. A link may have gone since, and its number with it. */
static void hear(struct gg_plane *plane, const struct epoll_event *event)
{
    struct gg_link *link;

    if (event->data.u64 == GG_COMMAND) {
        uint64_t count;

        ssize_t got = 0;

        if (!plane->led || !plane->here) /* else it is for the thread */
            got = read(plane->command, &count, sizeof count);
        (void)got; /* it has woken us, that is all */
        return;
    }
    if (event->data.u64 == GG_OWNED)
        return; /* gg_plane_wait() has seen it */
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

/* How long who makes the rounds may sleep, in nanoseconds. */
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

/* Who makes the rounds does not sleep. */
static void wake_up(struct gg_plane *plane)
{
    plane->asleep = 0;
    plane->sleeps_until = -GG_NEVER;
}

/* Milliseconds are for deadlines. Who is looked at soon needs a finer clock,
 * which epoll_wait() has on newer systems only, but poll() everywhere. */
static void wait_for_events(int epoll, struct wake *wake, int64_t sleep_ns)
{
    int64_t ms = sleep_ns / NS_PER_MS + (sleep_ns % NS_PER_MS != 0);

    if (sleep_ns == NEVER) {
        ms = -1;
    } else if (sleep_ns > 0 && sleep_ns < NS_PER_MS) {
        struct pollfd one = {.fd = epoll, .events = POLLIN};
        struct timespec pause = {.tv_nsec = (long)sleep_ns};

        wake->count = ppoll(&one, 1, &pause, NULL);
        if (wake->count <= 0)
            return;
        ms = 0;
    }
    wake->count =
        epoll_wait(epoll, wake->events, EVENTS, ms < INT_MAX ? (int)ms : INT_MAX);
}

/* One round, with the lock. */
static void make_round(struct gg_plane *plane, const struct wake *wake)
{
    double now = gg_plane_now();
    int status = gg_router_step(plane->router, now);

    if (status < 0) {
        plane->fault = status;
        gg_plane_retry(plane);
    }
    unblock(plane, now);
    look_again(plane);
    for (int i = 0; i < wake->count; i++)
        hear(plane, &wake->events[i]);
    gg_plane_turn(plane);
    serve(plane);
}

/* --- whose rounds they are ---
 *
 * While the owner waits for something to do, in gg_plane_wait(), it makes the
 * rounds itself: then what is for it reaches it without another switch of
 * threads. The plane's own thread takes over when the owner stays away, and
 * keeps the rounds for a while: an owner who has much to do had better not take
 * turns with it, but work beside it. It also keeps them while the owner is woken
 * by its own set for the most part, which is heard of sooner without the plane.
 *
 * A timer costs microseconds to set where the machine is virtual, and more when
 * it fires. So it is set for longer than needed, put off while the owner comes
 * and goes, but not each time, and the thread looks when it fires. */

static void set_relief(struct gg_plane *plane, int64_t ns)
{
    const struct itimerspec at = {.it_value = {.tv_nsec = (long)ns}};

    if (timerfd_settime(plane->relief, 0, &at, NULL) == 0)
        plane->relief_at = gg_clock() + ns;
}

static int take_lead(struct gg_plane *plane, int epoll)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = GG_OWNED};

    if (plane->worth < GG_WORTH_LEADING || gg_clock() < plane->held_until)
        return 0;
    if (epoll_ctl(plane->epoll, EPOLL_CTL_ADD, epoll, &event) != 0)
        return 0;
    (void)prctl(PR_SET_TIMERSLACK, SLACK_NS);
    plane->owned = epoll;
    plane->led = 1;
    gg_plane_rouse(plane); /* the thread: it has nothing to wait for here */
    return 1;
}

static void end_lead(struct gg_plane *plane)
{
    (void)epoll_ctl(plane->epoll, EPOLL_CTL_DEL, plane->owned, NULL);
    plane->led = 0;
}

/* --- the plane's own thread --- */

static void await_relief(struct gg_plane *plane)
{
    uint64_t count;
    ssize_t got = read(plane->relief, &count, sizeof count);

    (void)got; /* it has woken us, that is all */
    (void)gg_plane_enter(plane);
    plane->relief_at = 0;
    if (plane->led && plane->away_since != 0) {
        int64_t left_ns = plane->away_since + AWAY_NS - gg_clock();

        if (left_ns > 0) {
            set_relief(plane, left_ns);
        } else {
            end_lead(plane);
            plane->held_until = gg_clock() + HOLD_NS;
        }
    }
    (void)gg_plane_leave(plane, GG_OK);
}

/* What the thread does with what woke it; returns how long to sleep, LED or
 * OVER. */
static int64_t work(struct gg_plane *plane, const struct wake *wake)
{
    int64_t sleep_ns = OVER;

    (void)gg_plane_enter(plane);
    plane->here = !plane->led && !plane->stopping;
    if (plane->stopping) {
        /* nothing any more */
    } else if (!plane->led) {
        wake_up(plane);
        make_round(plane, wake);
        sleep_ns = plan_sleep(plane, gg_plane_now());
    } else {
        if (wake->count > 0) { /* it was meant for the owner */
            make_round(plane, wake);
            gg_plane_rouse(plane);
        }
        sleep_ns = LED;
    }
    (void)gg_plane_leave(plane, GG_OK);
    return sleep_ns;
}

void gg_plane_run(struct gg_plane *plane)
{
    struct wake wake = {.count = 0};
    int64_t sleep_ns;

    (void)prctl(PR_SET_TIMERSLACK, SLACK_NS); /* of this thread */
    while ((sleep_ns = work(plane, &wake)) != OVER) {
        wake.count = 0;
        if (sleep_ns == LED)
            await_relief(plane);
        else
            wait_for_events(plane->epoll, &wake, sleep_ns);
    }
}

void gg_plane_stop(struct gg_plane *plane)
{
    (void)gg_plane_enter(plane);
    plane->stopping = 1;
    gg_event_ring(plane->command);
    set_relief(plane, 1);
    (void)gg_plane_leave(plane, GG_OK);
}

/* --- the owner --- */

/* Whether the owner's own set has something. */
static int is_ready(const struct wake *wake)
{
    for (int i = 0; i < wake->count; i++)
        if (wake->events[i].data.u64 == GG_OWNED)
            return GG_IS_READY;
    return 0;
}

/* What is told by the descriptor makes the set ready, and need not be said. */
static int news(const struct gg_plane *plane)
{
    return plane->told ? 0 : gg_plane_has_news(plane);
}

/* The owner has something to do. */
static void go_away(struct gg_plane *plane, int found)
{
    wake_up(plane);
    if (found == GG_IS_READY && --plane->worth == 0) {
        end_lead(plane);
        set_relief(plane, 1); /* the thread makes the rounds */
        return;
    }
    plane->away_since = gg_clock();
    if (plane->relief_at < plane->away_since + AWAY_NS)
        set_relief(plane, 2 * AWAY_NS);
}

int gg_plane_wait(struct gg_plane *plane, int epoll, int64_t timeout_ns)
{
    int64_t left_ns = timeout_ns < 0 ? NEVER : timeout_ns;
    int64_t until = left_ns == NEVER ? NEVER : gg_clock() + left_ns;
    struct wake wake;
    int found;

    (void)gg_plane_enter(plane);
    if (plane->stopping ||
        (!plane->led && (timeout_ns == 0 || !take_lead(plane, epoll))))
        return gg_plane_leave(plane, GG_IS_NOT_LED);
    plane->away_since = 0;
    do {
        int64_t sleep_ns = plan_sleep(plane, gg_plane_now());
        int here = plane->here;

        if (news(plane))
            sleep_ns = 0;
        (void)gg_plane_leave(plane, GG_OK);
        if (here)
            (void)sched_yield(); /* the thread hears that it may go */
        wait_for_events(plane->epoll, &wake,
                        sleep_ns < left_ns ? sleep_ns : left_ns);
        (void)gg_plane_enter(plane);
        wake_up(plane);
        make_round(plane, &wake);
        found = is_ready(&wake) | news(plane);
        left_ns = until == NEVER ? NEVER : until - gg_clock();
    } while (!found && wake.count >= 0 && left_ns > 0 && !plane->stopping);
    go_away(plane, found);
    return gg_plane_leave(plane, found);
}
