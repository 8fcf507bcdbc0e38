/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GG_PORT_PARTS_H
#define GG_PORT_PARTS_H

/* The inside of a port, shared by src/gg_port*.c and nobody else. What stands
 * in the way of every frame is here, so that it is compiled in where it is
 * used. */

#include "gg/port.h"

#define GG_PORT_GUARD UINT32_C(0x67756172) /* of a port that is not forked */

/* Bits of `users`, above the number of those inside. */
#define GG_PORT_CLOSED UINT32_C(0x80000000)
#define GG_PORT_RECEIVING UINT32_C(0x40000000)

/* Unmap: the last one out does. Senders are not counted; they look for
 * GG_PORT_CLOSED with the mutex held. */
void gg_port_finish(struct gg_port *port);

/* Wake the other end if it waits for one of `offered`, after that was stored
 * for it by gg_store_seq(). */
void gg_port_offer(struct gg_port *port, uint32_t offered);

static inline int gg_port_is_forked(const struct gg_port *port)
{
    return *port->guard != GG_PORT_GUARD;
}

/* Before the mutex is taken: who holds it may not exist in the child of a fork,
 * and there is none after gg_port_free(). */
static inline int gg_port_check_open(const struct gg_port *port)
{
    if (gg_port_is_forked(port))
        return GG_EFORKED;
    if ((gg_load_relaxed(&port->users) & GG_PORT_CLOSED) != 0)
        return GG_ECLOSED;
    return GG_OK;
}

/* Be counted inside, so that the segment stays mapped. */
static inline int gg_port_enter(struct gg_port *port)
{
    uint32_t users = gg_load_relaxed(&port->users);

    if (gg_port_is_forked(port))
        return GG_EFORKED;
    do {
        if ((users & GG_PORT_CLOSED) != 0)
            return GG_ECLOSED;
    } while (!gg_cas_seq(&port->users, &users, users + 1));
    return GG_OK;
}

static inline void gg_port_leave(struct gg_port *port)
{
    if (gg_add_seq(&port->users, UINT32_MAX) == (GG_PORT_CLOSED | 1))
        gg_port_finish(port);
}

/* What a waiting thread looks at belongs to those who send and receive, so it
 * compares the words of the peer with what those published, and checks
 * nothing: what is wrong is as good a reason to wake up and find out. */

static inline int gg_port_has_data(struct gg_port *port)
{
    return gg_load_seq(&port->in.shared->tail) !=
           gg_load_relaxed(&port->consumed);
}

static inline int gg_port_has_room(struct gg_port *port, uint32_t need)
{
    uint32_t used = gg_load_relaxed(&port->produced) -
                    gg_load_seq(&port->out.shared->head);
    uint32_t capacity = port->out.capacity;

    if (used > capacity)
        return 1;
    if (need > gg_ring_inline(capacity)) {
        uint32_t in_flight = gg_load_relaxed(&port->bulk_sent) -
                             gg_load_seq(&port->out.shared->taken);

        if (in_flight >= GG_BULK_IN_FLIGHT && in_flight < INT32_MAX)
            return 0;
        need = gg_ring_inline(capacity);
    }
    return need <= capacity - used;
}

static inline int gg_port_has_news(struct gg_port *port)
{
    return gg_load_seq(&port->mine->news) != gg_load_relaxed(&port->news_seen);
}

#endif
