/* SPDX-License-Identifier: Apache-2.0 */
/* A plane with two workers, one of which is the input: a script of all that a
 * worker can do to its segment, its socket and its eventfd, and of what the
 * plane does meanwhile. It may be cut off; the other one is served to the end.
 * The script:
 *
 *   0 word u32       store it          6 size u8 bytes   over the socket
 *   1 word u16       add to it         7 size u8 kind u8 a frame, as a worker
 *   2 u16 n bytes    into the ring     8 number seals    a descriptor
 *   3 be served      4 the owner takes 9 read the ring
 *   5 size u16       be sent a message 10 be drained     11 tell of news
 */
#include "gg/plane_parts.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    CAPACITY = GG_RING_LEAST,
    WORDS = 10,
    HOSTILE = 11,
    HONEST = 12,
    RECORDS = 1 << 20
};

struct script {
    const uint8_t *at;
    size_t left;
};

struct worker {
    struct gg_port port;
    int socket, event;
    uint8_t endpoint;
};

static struct gg_plane *plane;
static struct worker hostile, honest;
static uint8_t payload[UINT16_MAX];

static void require(int condition)
{
    if (!condition)
        abort();
}

static uint32_t draw(struct script *script, unsigned bytes)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < bytes && script->left > 0; i++, script->left--)
        value |= (uint32_t)*script->at++ << 8 * i;
    return value;
}

static void connect_worker(struct worker *worker, uint32_t peer)
{
    struct gg_rules rules = {3.0, 60.0, 1000, 1 << 24, 1, 1, 0, 0};
    struct gg_segment segment;
    int sockets[2];
    int fd = -1;

    worker->endpoint = (uint8_t)(peer - 10);
    require(gg_plane_define_function(plane, worker->endpoint, &rules,
                                     &worker->endpoint, 1) == GG_OK);
    require(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    require(gg_plane_connect(plane, peer, sockets[0], CAPACITY, &fd,
                             &worker->event) == GG_OK);
    worker->socket = sockets[1];
    require(gg_segment_attach(&segment, fd) == GG_OK);
    require(close(fd) == 0);
    require(gg_port_init(&worker->port, &segment, GG_SIDE_WORKER, worker->event,
                         worker->socket, 0) == GG_OK);
    require(gg_plane_attach_worker(plane, peer, worker->endpoint, 0.0) ==
            GG_OK);
    require(gg_port_send(&worker->port, GG_READY, 0, worker->endpoint, 0, "",
                         0, NULL, 0, NULL, 0, 0) == GG_OK);
}

static void disconnect_worker(struct worker *worker)
{
    gg_port_free(&worker->port);
    require(close(worker->socket) == 0);
    require(close(worker->event) == 0);
}

static void begin(void)
{
    struct gg_plane_options options = {
        .router = {.work_items = 64,
                   .topic_payload_bytes = 1 << 17,
                   .invoke_payload_bytes = 1 << 20},
        .inbox_bytes = 1 << 17,
        .unread_bytes = 1 << 17};

    require(gg_plane_new(&options, &plane) == GG_OK);
    require(gg_plane_open(plane) == GG_OK);
    connect_worker(&hostile, HOSTILE);
    connect_worker(&honest, HONEST);
    gg_plane_drain(plane, HONEST);
}

static gg_atomic *word(uint32_t number)
{
    struct gg_control *control = hostile.port.segment.control;
    gg_atomic *words[WORDS] = {
        &control->up.tail,    &control->down.head,   &control->down.taken,
        &control->core.word,  &control->worker.word, &control->core.news,
        &control->up.cpu,     &control->up.head,     &control->down.tail,
        &control->worker.news};

    return words[number % WORDS];
}

/* What the thread would do. */
static void serve(uint32_t peer)
{
    struct gg_link *link;

    (void)gg_plane_enter(plane);
    link = gg_plane_link(plane, peer);
    if (link != NULL) {
        gg_link_wake(plane, link);
        (void)gg_link_read(plane, link);
        for (int i = 0; i < 3 && link->in == &plane->active; i++)
            (void)gg_link_serve(plane, link);
    }
    (void)gg_plane_leave(plane, GG_OK);
}

static void take(void)
{
    static uint8_t records[RECORDS];
    struct gg_taken taken;
    uint64_t at = 0;

    require(gg_plane_take(plane, 1.0, records, RECORDS, &taken) == GG_OK);
    while (at < taken.used) {
        struct gg_record record;

        require(taken.used - at >= sizeof record);
        memcpy(&record, records + at, sizeof record);
        require(record.type >= GG_SEND && record.type <= GG_SKIPPED);
        require((uint64_t)record.topic + record.context + record.payload +
                    record.document + sizeof record <=
                record.size);
        require(record.type != GG_CUT_OFF || record.peer == HOSTILE);
        at += record.size;
    }
    require(at == taken.used);
}

/* An event for a function, in the name of the core. */
static void invoke(uint8_t endpoint, uint32_t bytes)
{
    static uint8_t data[1 + sizeof payload];
    const struct gg_frame frame = {.context = 1,
                                   .payload = 1,
                                   .end = 1 + bytes,
                                   .kind = GG_INVOKE,
                                   .flags = GG_EVENT};

    data[0] = endpoint;
    require(gg_plane_receive(plane, GG_CORE, data, &frame, 1.0) == GG_OK);
}

static void send_descriptor(uint32_t number, uint32_t seals)
{
    int fd = -1;

    if (seals % 2 == 0) {
        require(gg_bulk_create(payload, 1000, &fd) == GG_OK);
    } else {
        fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        require(fd != -1 && ftruncate(fd, 1000) == 0);
    }
    require(gg_bulk_send(hostile.socket, fd, number) <= GG_OK);
    require(close(fd) == 0);
}

static void read_ring(void)
{
    struct gg_port_view views[4];
    int count =
        gg_port_receive_batch(&hostile.port, views, 4, CAPACITY, 0, 0);

    require(count != GG_ESYSTEM);
    gg_port_release(&hostile.port);
}

static void write_ring(struct script *script)
{
    uint32_t offset = draw(script, 2);
    uint32_t length = draw(script, 1);

    for (uint32_t i = 0; i < length; i++)
        hostile.port.segment.up[offset + i] = (uint8_t)draw(script, 1);
}

/* By the worker's own means, which what it wrote itself may have broken. */
static void put_frame(uint32_t bytes, uint32_t kind)
{
    int status = gg_port_send(
        &hostile.port, (uint8_t)(1 + kind % GG_CONTROL), 0, hostile.endpoint,
        bytes, "a", 1, NULL, 0, payload, bytes * 200, 0);

    require(status != GG_EINVAL);
}

static void write_socket(struct script *script)
{
    uint8_t bytes[UINT8_MAX];
    uint32_t size = draw(script, 1);

    for (uint32_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)draw(script, 1);
    require(send(hostile.socket, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) <=
            (ssize_t)size);
}

static void step(struct script *script)
{
    gg_atomic *at;
    uint32_t first;

    switch (draw(script, 1) % 12) {
    case 0:
        at = word(draw(script, 1));
        gg_store_relaxed(at, draw(script, 4));
        break;
    case 1:
        at = word(draw(script, 1));
        gg_store_relaxed(at, gg_load_relaxed(at) + draw(script, 2));
        break;
    case 2:
        write_ring(script);
        break;
    case 3:
        serve(HOSTILE);
        break;
    case 4:
        take();
        break;
    case 5:
        invoke(hostile.endpoint, draw(script, 2));
        break;
    case 6:
        write_socket(script);
        break;
    case 7:
        first = draw(script, 1);
        put_frame(first, draw(script, 1));
        break;
    case 8:
        first = draw(script, 1);
        send_descriptor(first, draw(script, 1));
        break;
    case 9:
        read_ring();
        break;
    case 10:
        gg_plane_drain(plane, HOSTILE);
        break;
    default:
        (void)gg_port_tell(&hostile.port);
    }
}

/* Whatever happened, the other worker gets its item. */
static void check_honest(void)
{
    struct gg_port_view view;

    require(gg_plane_peer_state(plane, HONEST) == GG_IS_CONNECTED);
    require(gg_plane_detach(plane, HOSTILE, payload, 0, 1.0) == GG_OK);
    invoke(honest.endpoint, 10);
    require(gg_port_receive_batch(&honest.port, &view, 1, CAPACITY, 0, 0) == 1);
    require(view.kind == GG_INVOKE);
    gg_port_release(&honest.port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {data, size};

    begin();
    while (script.left > 0)
        step(&script);
    serve(HOSTILE);
    take();
    check_honest();
    gg_plane_disconnect(plane, HOSTILE);
    gg_plane_free(plane);
    disconnect_worker(&hostile);
    disconnect_worker(&honest);
    return 0;
}
