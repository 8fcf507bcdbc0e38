/* SPDX-License-Identifier: Apache-2.0 */
#include "gg/port_parts.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What `guard` points to then. */
static const uint32_t after_free = GG_PORT_GUARD;

/* --- life --- */

/* Cannot fail: the capacities were checked when the segment was mapped. */
static int init_rings(struct gg_port *port, struct gg_control *control)
{
    int is_worker = port->side == GG_SIDE_WORKER;
    struct gg_ring *up = is_worker ? &port->out : &port->in;
    struct gg_ring *down = is_worker ? &port->in : &port->out;
    int status = gg_ring_init(up, &control->up, port->segment.up,
                              port->segment.up_capacity);

    if (status != GG_OK)
        return status;
    return gg_ring_init(down, &control->down, port->segment.down,
                        port->segment.down_capacity);
}

int gg_port_init(struct gg_port *port, struct gg_segment *segment,
                 enum gg_side side, int event, int socket, int64_t spin_ns)
{
    struct gg_control *control = segment->control;
    long page = sysconf(_SC_PAGESIZE);
    uint32_t *guard = mmap(NULL, (size_t)page, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (guard == MAP_FAILED ||
        madvise(guard, (size_t)page, MADV_WIPEONFORK) != 0) {
        int error = errno;

        if (guard != MAP_FAILED)
            (void)munmap(guard, (size_t)page);
        gg_segment_unmap(segment);
        errno = error;
        return GG_ESYSTEM;
    }
    *guard = GG_PORT_GUARD;
    memset(port, 0, sizeof *port);
    port->segment = *segment;
    segment->base = NULL;
    segment->control = NULL;
    port->guard = guard;
    port->side = side;
    port->event = event;
    port->socket = socket;
    port->mine = side == GG_SIDE_WORKER ? &control->worker : &control->core;
    port->theirs = side == GG_SIDE_WORKER ? &control->core : &control->worker;
    gg_spin_init(&port->spin, spin_ns);
    (void)pthread_mutex_init(&port->sending, NULL);
    return init_rings(port, control);
}

void gg_port_finish(struct gg_port *port)
{
    (void)pthread_mutex_lock(&port->sending);
    gg_segment_unmap(&port->segment);
    (void)pthread_mutex_unlock(&port->sending);
}

static void wake_own(struct gg_port *port)
{
    (void)gg_swap_seq(&port->mine->word, 0);
    if (port->side == GG_SIDE_WORKER)
        gg_futex_wake(&port->mine->word);
}

int gg_port_close(struct gg_port *port)
{
    int status = gg_port_enter(port);

    if (status == GG_EFORKED || port->guard == &after_free)
        return status;
    if (status == GG_OK) {
        (void)gg_or_seq(&port->users, GG_PORT_CLOSED);
        wake_own(port);
        gg_port_leave(port);
    }
    /* Whoever sends now sees GG_PORT_CLOSED; wait for the one who did not. */
    (void)pthread_mutex_lock(&port->sending);
    (void)pthread_mutex_unlock(&port->sending);
    return GG_OK;
}

void gg_port_free(struct gg_port *port)
{
    if (port->guard == NULL || port->guard == &after_free)
        return;
    if (!gg_port_is_forked(port)) {
        (void)gg_port_close(port);
        gg_segment_unmap(&port->segment); /* if frames were never released */
        (void)pthread_mutex_destroy(&port->sending);
    }
    (void)munmap((void *)(uintptr_t)port->guard,
                 (size_t)sysconf(_SC_PAGESIZE));
    gg_store_relaxed(&port->users, GG_PORT_CLOSED);
    port->guard = &after_free;
}

/* --- waking the other end --- */

void gg_port_offer(struct gg_port *port, uint32_t offered)
{
    uint32_t want = gg_park_take(&port->theirs->word, offered);

    if (want == 0)
        return;
    if (port->side == GG_SIDE_WORKER) {
        gg_event_ring(port->event);
        return;
    }
    gg_futex_wake(&port->theirs->word);
    if ((want & GG_WANT_SOCKET) != 0 && port->socket != -1) {
        /* If the socket is full or gone, it is readable anyway. */
        int status = gg_bulk_send(port->socket, -1, 0);

        (void)status;
    }
}

int gg_port_tell(struct gg_port *port)
{
    int status = gg_port_enter(port);

    if (status != GG_OK)
        return status;
    (void)gg_add_seq(&port->theirs->news, 1);
    gg_port_offer(port, GG_WANT_DATA | GG_WANT_SOON);
    gg_port_leave(port);
    return GG_OK;
}

int gg_port_interrupt(struct gg_port *port)
{
    int status = gg_port_enter(port);

    if (status != GG_OK)
        return status;
    (void)gg_add_seq(&port->alarms, 1);
    wake_own(port);
    gg_port_leave(port);
    return GG_OK;
}

uint32_t gg_port_alarms(const struct gg_port *port)
{
    return gg_load_seq(&port->alarms);
}
