/* SPDX-License-Identifier: Apache-2.0 */
#include "gg/port.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define GUARD UINT32_C(0x67756172)
static const uint32_t after_free = GUARD; /* what `guard` points to then */
#define LOOK_NS INT64_C(1000000000) /* the longest sleep in one go */

/* Bits of `users`, above the number of those inside. */
#define CLOSED UINT32_C(0x80000000)
#define RECEIVING UINT32_C(0x40000000)

enum { LOOKS_A_CLOCK = 16 }; /* while spinning; a pause is 5 to 50 ns */

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
    *guard = GUARD;
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

static int is_forked(const struct gg_port *port)
{
    return *port->guard != GUARD;
}

/* Before the mutex is taken: who holds it may not exist in the child of a fork,
 * and there is none after gg_port_free(). */
static int check_open(const struct gg_port *port)
{
    if (is_forked(port))
        return GG_EFORKED;
    return (gg_load_relaxed(&port->users) & CLOSED) == 0 ? GG_OK : GG_ECLOSED;
}

/* The last one out unmaps. Senders are not counted; they look for CLOSED with
 * the mutex held. */
static void finish(struct gg_port *port)
{
    (void)pthread_mutex_lock(&port->sending);
    gg_segment_unmap(&port->segment);
    (void)pthread_mutex_unlock(&port->sending);
}

/* Be counted inside, so that the segment stays mapped. */
static int enter(struct gg_port *port)
{
    uint32_t users = gg_load_relaxed(&port->users);

    if (is_forked(port))
        return GG_EFORKED;
    do {
        if ((users & CLOSED) != 0)
            return GG_ECLOSED;
    } while (!gg_cas_seq(&port->users, &users, users + 1));
    return GG_OK;
}

static void leave(struct gg_port *port)
{
    if (gg_add_seq(&port->users, UINT32_MAX) == (CLOSED | 1))
        finish(port);
}

static void wake_own(struct gg_port *port)
{
    (void)gg_swap_seq(&port->mine->word, 0);
    if (port->side == GG_SIDE_WORKER)
        gg_futex_wake(&port->mine->word);
}

int gg_port_close(struct gg_port *port)
{
    int status = enter(port);

    if (status == GG_EFORKED || port->guard == &after_free)
        return status;
    if (status == GG_OK) {
        (void)gg_or_seq(&port->users, CLOSED);
        wake_own(port);
        leave(port);
    }
    /* Whoever sends now sees CLOSED; wait for the one who did not. */
    (void)pthread_mutex_lock(&port->sending);
    (void)pthread_mutex_unlock(&port->sending);
    return GG_OK;
}

void gg_port_free(struct gg_port *port)
{
    if (port->guard == NULL || port->guard == &after_free)
        return;
    if (!is_forked(port)) {
        (void)gg_port_close(port);
        gg_segment_unmap(&port->segment); /* if frames were never released */
        (void)pthread_mutex_destroy(&port->sending);
    }
    (void)munmap((void *)(uintptr_t)port->guard,
                 (size_t)sysconf(_SC_PAGESIZE));
    gg_store_relaxed(&port->users, CLOSED);
    port->guard = &after_free;
}

/* --- waking the other end --- */

/* After something was stored for it by gg_store_seq(). */
static void offer(struct gg_port *port, uint32_t offered)
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
    int status = enter(port);

    if (status != GG_OK)
        return status;
    (void)gg_add_seq(&port->theirs->news, 1);
    offer(port, GG_WANT_DATA | GG_WANT_SOON);
    leave(port);
    return GG_OK;
}

int gg_port_interrupt(struct gg_port *port)
{
    int status = enter(port);

    if (status != GG_OK)
        return status;
    (void)gg_add_seq(&port->alarms, 1);
    wake_own(port);
    leave(port);
    return GG_OK;
}

uint32_t gg_port_alarms(const struct gg_port *port)
{
    return gg_load_seq(&port->alarms);
}

/* --- sending --- */

struct frame_parts {
    struct gg_header header;
    const void *topic;
    const void *context;
    const void *payload;
    uint32_t payload_size;
    int bulk; /* descriptor, or -1 */
    int is_bulk;
    int staged; /* to be shown to the peer later, with others */
    int soon;   /* the peer need not be woken if it will look soon */
    uint8_t wipe; /* GG_WIPE or 0 */
};

static uint8_t *append(uint8_t *at, const void *data, size_t size)
{
    if (size > 0) /* an empty part may come as NULL */
        memcpy(at, data, size);
    return at + size;
}

static void fill(uint8_t *at, const struct frame_parts *frame, uint32_t number)
{
    gg_header_write(at, &frame->header);
    if (frame->is_bulk)
        at[4] |= GG_BULK;
    at[4] |= frame->wipe;
    at = append(at + GG_FRAME_HEADER, frame->topic, frame->header.topic_size);
    at = append(at, frame->context, frame->header.context_size);
    if (frame->is_bulk) {
        struct gg_reference reference = {frame->payload_size, number};

        gg_reference_write(at, &reference);
    } else {
        (void)append(at, frame->payload, frame->payload_size);
    }
}

/* How many bulk messages are on their way; GG_ERING. */
static int count_in_flight(struct gg_port *port, uint32_t *count)
{
    uint32_t sent = gg_load_relaxed(&port->bulk_sent);
    uint32_t taken = gg_load_acquire(&port->out.shared->taken);

    if (taken - port->bulk_taken > sent - port->bulk_taken)
        return GG_ERING;
    port->bulk_taken = taken;
    *count = sent - taken;
    return GG_OK;
}

/* Show the peer what was staged, and wake it. */
static void commit(struct gg_port *port, int soon)
{
    gg_ring_commit(&port->out);
    gg_store_relaxed(&port->produced, port->out.own);
    offer(port, soon ? GG_WANT_DATA : GG_WANT_DATA | GG_WANT_SOON);
}

/* Reserve, then send the descriptor, which cannot be taken back. */
static int reserve_bulk(struct gg_port *port, const struct frame_parts *frame,
                        uint8_t **at)
{
    uint32_t sent = gg_load_relaxed(&port->bulk_sent);
    uint32_t in_flight = 0;
    int status = count_in_flight(port, &in_flight);

    if (status != GG_OK)
        return status;
    if (in_flight >= GG_BULK_IN_FLIGHT)
        return GG_AGAIN;
    if (port->out.staged != port->out.own) /* so that a rollback spares it */
        commit(port, 0);
    status = gg_ring_reserve(&port->out, frame->header.length, at);
    if (status != GG_OK)
        return status;
    status = gg_bulk_send(port->socket, frame->bulk, sent + 1);
    if (status != GG_OK) {
        gg_ring_rollback(&port->out);
        return status;
    }
    gg_store_release(&port->bulk_sent, sent + 1);
    return GG_OK;
}

/* With the mutex held and the segment mapped. */
static int send_locked(struct gg_port *port, const struct frame_parts *frame)
{
    uint32_t cpu = gg_cpu();
    uint8_t *at = NULL;
    int status = frame->is_bulk
                     ? reserve_bulk(port, frame, &at)
                     : gg_ring_reserve(&port->out, frame->header.length, &at);

    if (status != GG_OK)
        return status;
    fill(at, frame, gg_load_relaxed(&port->bulk_sent));
    if (cpu != port->cpu) {
        port->cpu = cpu;
        gg_store_relaxed(&port->out.shared->cpu, cpu);
    }
    if (!frame->staged)
        commit(port, frame->soon);
    return GG_OK;
}

static int try_send(struct gg_port *port, const struct frame_parts *frame)
{
    int status = check_open(port);

    if (status != GG_OK)
        return status;
    (void)pthread_mutex_lock(&port->sending);
    status = check_open(port);
    if (status == GG_OK)
        status = send_locked(port, frame);
    (void)pthread_mutex_unlock(&port->sending);
    return status;
}

static int has_room(struct gg_port *port, uint32_t need);
static int has_news(struct gg_port *port);

/* Send, or sleep and try again. */
static int send_parts(struct gg_port *port, const struct frame_parts *frame,
                      int64_t deadline)
{
    for (;;) {
        uint32_t alarms = gg_load_seq(&port->alarms);
        uint32_t need = frame->is_bulk ? UINT32_MAX : frame->header.length;
        int status = try_send(port, frame);

        if (status != GG_AGAIN || deadline <= 0 || port->side == GG_SIDE_CORE)
            return status;
        status =
            gg_port_wait(port, GG_WANT_ROOM, need, alarms, deadline, 0);
        if (status < 0)
            return status;
    }
}

static int send_bulk(struct gg_port *port, struct frame_parts *frame,
                     int64_t deadline)
{
    uint32_t size = GG_FRAME_HEADER + frame->header.topic_size +
                    frame->header.context_size + GG_REFERENCE_SIZE;
    int status;

    if (frame->payload_size > GG_BULK_MOST || port->socket == -1 ||
        size > gg_ring_inline(port->out.capacity))
        return GG_ELENGTH;
    status = enter(port);
    if (status != GG_OK)
        return status;
    /* A memfd is not cheap: make none that would only be thrown away. */
    if (!has_room(port, UINT32_MAX) &&
        (deadline <= 0 || port->side == GG_SIDE_CORE))
        status = GG_AGAIN;
    leave(port);
    if (status == GG_OK)
        status = gg_bulk_create(frame->payload, frame->payload_size,
                                &frame->bulk);
    if (status != GG_OK)
        return status;
    frame->header.length = size;
    frame->is_bulk = 1;
    status = send_parts(port, frame, deadline);
    (void)close(frame->bulk);
    return status;
}

int gg_port_pass(struct gg_port *port, const struct gg_header *header,
                 const void *topic, const void *context, int bulk,
                 uint32_t size)
{
    struct frame_parts frame = {
        .header = *header,
        .topic = topic,
        .context = context,
        .payload_size = size,
        .bulk = bulk,
        .is_bulk = 1,
        .wipe = header->kind & GG_WIPE,
    };
    int status;

    frame.header.kind &= (uint8_t)~GG_WIPE;
    frame.header.length = GG_FRAME_HEADER + GG_REFERENCE_SIZE +
                          header->topic_size + header->context_size;
    status = gg_header_check(&frame.header,
                             gg_ring_inline(port->out.capacity));
    if (status != GG_OK)
        return status;
    if (size == 0 || size > GG_BULK_MOST || port->socket == -1)
        return GG_ELENGTH;
    return try_send(port, &frame);
}

int gg_port_stage(struct gg_port *port, const struct gg_header *header,
                  const void *topic, const void *context, const void *payload)
{
    struct frame_parts frame = {
        .header = *header,
        .topic = topic,
        .context = context,
        .payload = payload,
        .bulk = -1,
        .staged = 1,
        .wipe = header->kind & GG_WIPE,
    };
    int status;

    frame.header.kind &= (uint8_t)~GG_WIPE;
    status = gg_header_check(&frame.header, gg_ring_inline(port->out.capacity));
    if (status != GG_OK)
        return status;
    frame.payload_size = header->length - GG_FRAME_HEADER -
                         header->topic_size - header->context_size;
    return try_send(port, &frame);
}

int gg_port_flush(struct gg_port *port)
{
    int status = check_open(port);

    if (status != GG_OK)
        return status;
    (void)pthread_mutex_lock(&port->sending);
    status = check_open(port);
    if (status == GG_OK && port->out.staged != port->out.own)
        commit(port, 0);
    (void)pthread_mutex_unlock(&port->sending);
    return status;
}

int gg_port_send(struct gg_port *port, uint8_t kind, uint8_t flags,
                 uint32_t endpoint, uint64_t id, const void *topic,
                 uint16_t topic_size, const void *context,
                 uint32_t context_size, const void *payload,
                 uint32_t payload_size, int64_t deadline)
{
    struct frame_parts frame = {
        .header = {.id = id,
                   .length = GG_FRAME_HEADER,
                   .context_size = context_size,
                   .endpoint = endpoint,
                   .topic_size = topic_size,
                   .kind = kind,
                   .flags = flags},
        .topic = topic,
        .context = context,
        .payload = payload,
        .payload_size = payload_size,
        .bulk = -1,
        .soon = deadline == GG_SOON,
    };
    int status;

    if (topic_size > GG_MAX_TOPIC)
        return GG_ETOPIC;
    if (context_size > GG_MAX_CONTEXT)
        return GG_ECONTEXT;
    if (payload_size > GG_BULK_MOST)
        return GG_ELENGTH;
    /* No overflow after these. */
    frame.header.length += topic_size + context_size + payload_size;
    status = gg_header_check(&frame.header, UINT32_MAX);
    if (status != GG_OK)
        return status;
    if (frame.header.length > gg_ring_inline(port->out.capacity))
        return send_bulk(port, &frame, deadline);
    return send_parts(port, &frame, deadline);
}

/* --- receiving --- */

/* Have the segment, and the right to receive, until gg_port_release(). */
static int begin_receiving(struct gg_port *port)
{
    uint32_t users = gg_load_relaxed(&port->users);

    if (is_forked(port))
        return GG_EFORKED;
    do {
        if ((users & CLOSED) != 0)
            return GG_ECLOSED;
        if ((users & RECEIVING) != 0)
            return GG_EINVAL;
    } while (!gg_cas_seq(&port->users, &users, users | RECEIVING));
    return GG_OK;
}

static void end_receiving(struct gg_port *port)
{
    /* RECEIVING is set, so this takes exactly that bit away. */
    if (gg_add_seq(&port->users, UINT32_MAX - RECEIVING + 1) ==
        (CLOSED | RECEIVING))
        finish(port);
}

/* Read a frame; check and count its reference if it is a bulk message. */
static int read_frame(struct gg_port *port, struct gg_header *header,
                      const uint8_t **at, struct gg_reference *reference)
{
    uint8_t bytes[GG_REFERENCE_SIZE];
    uint32_t before;
    int bulk = 0;
    int status = gg_ring_read(&port->in, header, at, &bulk);

    reference->size = 0;
    reference->number = 0;
    if (status != GG_OK || !bulk)
        return status;
    before = (uint32_t)header->topic_size + header->context_size;
    if (header->length != GG_FRAME_HEADER + before + GG_REFERENCE_SIZE)
        return GG_EBULK;
    gg_copy_once(bytes, *at + before, sizeof bytes);
    gg_reference_read(bytes, reference);
    if (reference->size == 0 || reference->size > GG_BULK_MOST ||
        reference->number != port->bulk_received + 1)
        return GG_EBULK;
    port->bulk_received++;
    port->bulk_batch++;
    return GG_OK;
}

static int read_batch(struct gg_port *port, struct gg_port_view *views,
                      uint32_t capacity, uint32_t max_bytes, int with_bulk)
{
    uint32_t count = 0;
    uint64_t bytes = 0;
    int status = GG_AGAIN;

    while (count < capacity) {
        /* A frame that is too much for the batch is read the next time. */
        struct gg_ring before = port->in;
        uint32_t bulk_batch = port->bulk_batch;
        struct gg_port_view *view = &views[count];
        struct gg_reference reference;
        struct gg_header header;
        const uint8_t *at = NULL;

        status = read_frame(port, &header, &at, &reference);
        if (status != GG_OK) {
            port->in.staged = before.staged;
            break;
        }
        bytes += header.length + (uint64_t)reference.size;
        if ((count > 0 && bytes > max_bytes) ||
            (reference.size != 0 && !with_bulk)) {
            status = GG_AGAIN;
            port->in.staged = before.staged;
            port->bulk_received -= port->bulk_batch - bulk_batch;
            port->bulk_batch = bulk_batch;
            break;
        }
        view->id = header.id;
        view->topic = (uint32_t)(at - port->in.data);
        view->context = view->topic + header.topic_size;
        view->payload = view->context + header.context_size;
        view->end = view->topic + (header.length - GG_FRAME_HEADER);
        view->endpoint = header.endpoint;
        view->bulk_size = reference.size;
        view->bulk_number = reference.number;
        view->kind = header.kind;
        view->flags = header.flags;
        view->zero = 0;
        count++;
    }
    gg_store_relaxed(&port->consumed, port->in.staged);
    return count > 0 ? (int)count : status;
}

int gg_port_receive_batch(struct gg_port *port, struct gg_port_view *views,
                          uint32_t capacity, uint32_t max_bytes,
                          int64_t deadline, int spin)
{
    if (capacity == 0 || capacity > INT32_MAX)
        return GG_EINVAL;
    for (;;) {
        uint32_t alarms = gg_load_seq(&port->alarms);
        int status = begin_receiving(port);

        if (status != GG_OK)
            return status;
        status = read_batch(port, views, capacity, max_bytes, 1);
        if (status > 0)
            return status;
        end_receiving(port);
        if (status != GG_AGAIN || deadline == 0 || port->side == GG_SIDE_CORE)
            return status;
        status =
            gg_port_wait(port, GG_WANT_DATA, 0, alarms, deadline, spin);
        if (status < 0)
            return status;
        if ((status & GG_WANT_DATA) == 0)
            return GG_EINTR;
    }
}

int gg_port_receive_inline(struct gg_port *port, struct gg_port_view *views,
                           uint32_t capacity, uint32_t max_bytes)
{
    int status;

    if (capacity == 0 || capacity > INT32_MAX)
        return GG_EINVAL;
    status = begin_receiving(port);
    if (status != GG_OK)
        return status;
    status = has_news(port)
                 ? GG_AGAIN
                 : read_batch(port, views, capacity, max_bytes, 0);
    if (status <= 0)
        end_receiving(port);
    return status;
}

int gg_port_receive(struct gg_port *port, struct gg_received *received)
{
    const uint8_t *at = NULL;
    uint32_t before;
    int status = begin_receiving(port);

    if (status != GG_OK)
        return status;
    before = port->in.staged;
    status = read_frame(port, &received->header, &at, &received->bulk);
    if (status != GG_OK) {
        port->in.staged = before;
        end_receiving(port);
        return status;
    }
    gg_store_relaxed(&port->consumed, port->in.staged);
    gg_copy_once(received->topic, at, received->header.topic_size);
    received->context = at + received->header.topic_size;
    received->payload = received->context + received->header.context_size;
    received->payload_size =
        received->header.length - GG_FRAME_HEADER -
        received->header.topic_size - received->header.context_size;
    return GG_OK;
}

void gg_port_release(struct gg_port *port)
{
    uint32_t used;
    uint32_t bulk = port->bulk_batch;

    if (is_forked(port) || (gg_load_relaxed(&port->users) & RECEIVING) == 0)
        return;
    if (bulk > 0) {
        port->bulk_batch = 0;
        gg_store_release(&port->in.shared->taken, port->bulk_received);
    }
    gg_ring_release(&port->in);
    used = port->in.peer - port->in.own;
    if (bulk > 0 || used <= port->in.capacity / 2)
        offer(port, GG_WANT_ROOM);
    end_receiving(port);
}

const uint8_t *gg_port_data(const struct gg_port *port, uint32_t *size)
{
    *size = 2 * port->in.capacity;
    return port->in.data;
}

/* --- waiting --- */

/* What a waiting thread looks at belongs to those who send and receive, so it
 * compares the words of the peer with what those published, and checks
 * nothing: what is wrong is as good a reason to wake up and find out. */

static int has_data(struct gg_port *port)
{
    return gg_load_seq(&port->in.shared->tail) !=
           gg_load_relaxed(&port->consumed);
}

static int has_room(struct gg_port *port, uint32_t need)
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

static int has_news(struct gg_port *port)
{
    return gg_load_seq(&port->mine->news) != gg_load_relaxed(&port->news_seen);
}

int gg_port_hear(struct gg_port *port)
{
    uint32_t news;
    int status = enter(port);

    if (status != GG_OK)
        return status;
    news = gg_load_seq(&port->mine->news);
    status = news != gg_load_relaxed(&port->news_seen);
    gg_store_relaxed(&port->news_seen, news);
    leave(port);
    return status;
}

/* Which of `want` are there; 0 for none. */
static int look(struct gg_port *port, uint32_t want, uint32_t need)
{
    int ready = 0;

    if ((gg_load_seq(&port->users) & CLOSED) != 0)
        return GG_ECLOSED;
    if ((want & (GG_WANT_DATA | GG_WANT_SOON)) != 0) {
        if (has_data(port))
            ready |= GG_WANT_DATA;
        if (has_news(port))
            ready |= GG_WANT_SOCKET;
    }
    if ((want & GG_WANT_ROOM) != 0 && has_room(port, need))
        ready |= GG_WANT_ROOM;
    return ready;
}

/* Look again and again while that promises to be short. */
static int spin_for_data(struct gg_port *port, int64_t deadline)
{
    int64_t until;
    int found = 0;

    if (!gg_spin_begin(&port->spin, gg_load_relaxed(&port->in.shared->cpu)))
        return 0;
    until = gg_clock() + port->spin.window_ns;
    if (until > deadline)
        until = deadline;
    do {
        for (int i = 0; i < LOOKS_A_CLOCK && !found; i++) {
            found = gg_load_acquire(&port->in.shared->tail) !=
                    gg_load_relaxed(&port->consumed);
            if (!found)
                gg_pause();
        }
    } while (!found && (gg_load_relaxed(&port->users) & CLOSED) == 0 &&
             gg_clock() < until);
    gg_spin_end(&port->spin, found);
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
    int status = enter(port);

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
    leave(port);
    return status;
}

int gg_port_park(struct gg_port *port, uint32_t want, uint32_t need)
{
    int status = enter(port);

    if (status != GG_OK)
        return status;
    gg_park_set(&port->mine->word, want);
    status = look(port, want, need);
    leave(port);
    return status == 0 ? GG_AGAIN : status;
}
