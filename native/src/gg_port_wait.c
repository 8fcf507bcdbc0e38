/* SPDX-License-Identifier: Apache-2.0 */
#include "gg/port_parts.h"

#include <poll.h>

#define LOOK_NS INT64_C(1000000000) /* the longest sleep in one go */

enum { LOOKS_A_CLOCK = 16 }; /* while spinning; a pause is 5 to 50 ns */

int gg_port_hear(struct gg_port *port)
{
    uint32_t news;
    int status = gg_port_enter(port);

    if (status != GG_OK)
        return status;
    news = gg_load_seq(&port->mine->news);
    status = news != gg_load_relaxed(&port->news_seen);
    gg_store_relaxed(&port->news_seen, news);
    gg_port_leave(port);
    return status;
}

/* Which of `want` are there; 0 for none. */
static int look(struct gg_port *port, uint32_t want, uint32_t need)
{
    int ready = 0;

    if ((gg_load_seq(&port->users) & GG_PORT_CLOSED) != 0)
        return GG_ECLOSED;
    if ((want & (GG_WANT_DATA | GG_WANT_SOON)) != 0) {
        if (gg_port_has_data(port))
            ready |= GG_WANT_DATA;
        if (gg_port_has_news(port))
            ready |= GG_WANT_SOCKET;
    }
    if ((want & GG_WANT_ROOM) != 0 && gg_port_has_room(port, need))
        ready |= GG_WANT_ROOM;
    return ready;
}

/* Look again and again while that promises to be short. */
static int spin_for_data(struct gg_port *port, int64_t deadline)
{
    uint32_t cpu = gg_load_relaxed(&port->in.shared->cpu);
    int64_t window = gg_spin_begin(&port->spin, cpu);
    int64_t begun, until;
    int found = 0;

    if (window == 0)
        return 0;
    begun = gg_clock();
    until = begun + window;
    if (until > deadline)
        until = deadline;
    do {
        for (int i = 0; i < LOOKS_A_CLOCK && !found; i++) {
            found = gg_load_acquire(&port->in.shared->tail) !=
                    gg_load_relaxed(&port->consumed);
            if (!found)
                gg_pause();
        }
    } while (!found && (gg_load_relaxed(&port->users) & GG_PORT_CLOSED) == 0 &&
             gg_clock() < until);
    gg_spin_end(&port->spin, found ? gg_clock() - begun : -1);
    return found;
}

/* Whether the socket has something to read, or has ended. */
static int is_readable(int socket)
{
    struct pollfd one = {.fd = socket, .events = POLLIN | POLLRDHUP};

    return socket != -1 && poll(&one, 1, 0) > 0;
}

static int wait_inside(struct gg_port *port, uint32_t want, uint32_t need,
                       uint32_t alarms, int64_t deadline)
{
    gg_atomic *word = &port->mine->word;

    for (;;) {
        int64_t until = gg_clock() + LOOK_NS;
        uint32_t value;
        int status;

        /* The first look, because a bit that stays set in the word costs the
         * other end a wake-up of nobody; the second, because it is set. */
        status = look(port, want, need);
        if (status == 0) {
            gg_park_set(word, want);
            status = look(port, want, need);
        }
        if (status != 0)
            return status;
        if (gg_load_seq(&port->alarms) != alarms)
            return GG_EINTR;
        value = gg_load_seq(word);
        if ((value & want) != want) /* somebody woke us in the meantime */
            continue;
        if (deadline < until)
            until = deadline;
        status = gg_futex_wait(word, value, until);
        if (status == GG_OK)
            continue;
        if (status != GG_ETIMEOUT || until == deadline)
            return status;
        /* The core may be gone, and then nobody wakes us. */
        if (is_readable(port->socket))
            return GG_WANT_SOCKET;
    }
}

int gg_port_wait(struct gg_port *port, uint32_t want, uint32_t need,
                 uint32_t alarms, int64_t deadline, int spin)
{
    int status = gg_port_enter(port);

    if (status != GG_OK)
        return status;
    if (port->side == GG_SIDE_CORE ||
        (want & (GG_WANT_DATA | GG_WANT_ROOM)) != want || want == 0)
        status = GG_EINVAL;
    else if (spin && (want & GG_WANT_DATA) != 0 &&
             spin_for_data(port, deadline))
        status = GG_WANT_DATA;
    else
        status = wait_inside(port, want, need, alarms, deadline);
    gg_port_leave(port);
    return status;
}

int gg_port_park(struct gg_port *port, uint32_t want, uint32_t need)
{
    int status = gg_port_enter(port);

    if (status != GG_OK)
        return status;
    gg_park_set(&port->mine->word, want);
    status = look(port, want, need);
    gg_port_leave(port);
    return status == 0 ? GG_AGAIN : status;
}
