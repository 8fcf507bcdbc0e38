/* SPDX-License-Identifier: Apache-2.0 */
/* Over rings: one call into a free ring; a relay through a router; a round trip
 * through a router that forwards one frame at a time, as a call does. */
#include "gg_bench.h"

enum { CAPACITY = 1 << 18, TOPIC = 25, MOST = 65536, WARM_UP = 500 };

static const char topic[TOPIC + 1] = "sensor/temperature/room12";
static uint8_t payload[MOST];

/* --- one call --- */

static void drain(struct gg_port *port)
{
    struct gg_port_view views[64];

    while (gg_port_receive_batch(port, views, 64, UINT32_MAX, 0, 0) > 0)
        gg_port_release(port);
}

static int send_one(struct gg_port *port, uint64_t id, uint32_t size,
                    int64_t deadline)
{
    return gg_port_send(port, GG_PUBLISH, 0, 0, id, topic, TOPIC, NULL, 0,
                        payload, size, deadline);
}

void bench_publish(void)
{
    enum { CALLS = 1000, ROUNDS = 101 };
    static int64_t port_times[ROUNDS];
    static int64_t ring_times[ROUNDS];
    struct gg_segment segment;
    struct gg_port core;
    struct gg_port worker;
    struct lane lane;

    lane_open(&lane, &segment, CAPACITY);
    MUST(gg_port_init(&core, &segment, GG_SIDE_CORE, -1, -1, 0) == GG_OK);
    lane_attach(&lane, &worker, 0);
    for (int round = 0; round < ROUNDS; round++) {
        int64_t begun = gg_clock();

        for (uint64_t i = 0; i < CALLS; i++)
            MUST(send_one(&worker, i, 64, 0) == GG_OK);
        port_times[round] = gg_clock() - begun;
        drain(&core);
        begun = gg_clock();
        for (uint64_t i = 0; i < CALLS; i++) {
            struct gg_header header = {.id = i,
                                       .length = 24 + TOPIC + 64,
                                       .topic_size = TOPIC,
                                       .kind = GG_PUBLISH};
            uint8_t *at = NULL;

            MUST(gg_ring_reserve(&worker.out, header.length, &at) == GG_OK);
            gg_header_write(at, &header);
            memcpy(at + 24, topic, TOPIC);
            memcpy(at + 24 + TOPIC, payload, 64);
            gg_ring_commit(&worker.out);
        }
        ring_times[round] = gg_clock() - begun;
        drain(&core);
    }
    qsort(port_times, ROUNDS, sizeof *port_times, compare_times);
    qsort(ring_times, ROUNDS, sizeof *ring_times, compare_times);
    row("publish/ring", "ns", (double)ring_times[ROUNDS / 2] / CALLS, "");
    row("publish/port", "ns", (double)port_times[ROUNDS / 2] / CALLS, "");
    gg_port_free(&core);
    gg_port_free(&worker);
    lane_close(&lane);
}

/* --- the router: what one lane says goes to the other --- */

struct router {
    struct gg_port ports[2];
    int watcher;
};

/* Sleep until a lane has what is wanted of it. */
static void router_sleep(struct router *router, const uint32_t want[2])
{
    struct epoll_event events[2];

    for (int i = 0; i < 2; i++)
        if (want[i] != 0 && gg_port_park(&router->ports[i], want[i],
                                         CAPACITY / 2) != GG_AGAIN)
            return;
    (void)epoll_wait(router->watcher, events, 2, -1);
}

/* Copy one frame, its header and topic once, as the router must. */
static void router_put(struct router *router, int to,
                       const struct gg_port_view *view, const uint8_t *data)
{
    uint32_t want[2] = {0, 0};
    uint8_t subject[GG_MAX_TOPIC];
    const struct gg_header header = {
        .id = view->id,
        .length = GG_FRAME_HEADER + view->end - view->topic,
        .topic_size = (uint16_t)(view->context - view->topic),
        .kind = GG_MESSAGE};
    struct gg_port *port = &router->ports[to];
    int status;

    gg_copy_once(subject, data + view->topic, header.topic_size);
    want[to] = GG_WANT_ROOM;
    while ((status = gg_port_stage(port, &header, subject, NULL,
                                   data + view->payload)) == GG_AGAIN) {
        (void)gg_port_flush(port);
        router_sleep(router, want);
    }
    MUST(status == GG_OK);
}

/* Forward a batch; return how many frames went through. */
static int router_forward(struct router *router, int from)
{
    struct gg_port *port = &router->ports[from];
    struct gg_port_view views[64];
    uint32_t size = 0;
    int count =
        gg_port_receive_batch(port, views, 64, CAPACITY / 4, 0, 0);

    if (count == GG_AGAIN)
        return 0;
    MUST(count > 0);
    for (int i = 0; i < count; i++)
        router_put(router, 1 - from, &views[i], gg_port_data(port, &size));
    gg_port_release(port);
    (void)gg_port_flush(&router->ports[1 - from]);
    return count;
}

static void router_run(struct router *router)
{
    static const uint32_t both[2] = {GG_WANT_DATA, GG_WANT_DATA};

    for (;;)
        if (router_forward(router, 0) + router_forward(router, 1) == 0)
            router_sleep(router, both);
}

static pid_t router_start(struct lane lanes[2], int cpu)
{
    struct gg_segment segments[2];
    pid_t child;

    for (int i = 0; i < 2; i++) {
        lane_open(&lanes[i], &segments[i], CAPACITY);
        gg_segment_unmap(&segments[i]);
    }
    child = start(cpu);
    if (child == 0) {
        static struct router router;

        router.watcher = epoll_create1(0);
        for (int i = 0; i < 2; i++) {
            struct epoll_event event = {.events = EPOLLIN | EPOLLET};

            MUST(gg_segment_attach(&segments[i], lanes[i].fd) == GG_OK);
            MUST(gg_port_init(&router.ports[i], &segments[i], GG_SIDE_CORE, -1,
                              lanes[i].sockets[0], 0) == GG_OK);
            MUST(epoll_ctl(router.watcher, EPOLL_CTL_ADD, lanes[i].event,
                           &event) == 0);
        }
        router_run(&router);
    }
    return child;
}

/* --- relay --- */

/* The window of all throughput: see tests/benchmarks/window.py. */
enum { WINDOW = 512, ACK = 256 };

static void consume(const struct lane *lane, uint64_t count, int acknowledge)
{
    static volatile uint8_t sink;
    struct gg_port_view views[64];
    struct gg_port port;
    uint64_t got = 0;
    uint32_t size = 0;

    lane_attach(lane, &port, 0);
    while (got < count) {
        const uint8_t *data = gg_port_data(&port, &size);
        int found = gg_port_receive_batch(&port, views, 64, CAPACITY / 4,
                                          GG_FOREVER, 0);

        if (found == GG_EINTR)
            continue;
        MUST(found > 0);
        for (int i = 0; i < found; i++) {
            memcpy(payload, data + views[i].payload,
                   views[i].end - views[i].payload);
            sink ^= payload[0];
            MUST(views[i].id == got);
            if (++got % ACK == 0 && acknowledge)
                MUST(send_one(&port, got, 4, 0) == GG_OK);
        }
        gg_port_release(&port);
    }
    _exit(0);
}

/* Wait for acknowledgements; return of how many messages. */
static uint64_t acknowledged(struct gg_port *port)
{
    struct gg_port_view views[4];
    int found;

    do {
        found = gg_port_receive_batch(port, views, 4, CAPACITY, GG_FOREVER, 0);
    } while (found == GG_EINTR);
    MUST(found > 0);
    gg_port_release(port);
    return (uint64_t)found * ACK;
}

static void relay(uint32_t size, uint64_t count, int window)
{
    struct lane lanes[2];
    struct gg_port port;
    char name[40];
    int status = 0;
    int64_t begun;
    double seconds;
    uint64_t back = 0;
    pid_t router;
    pid_t consumer;

    (void)snprintf(name, sizeof name, "relay/%s/%u",
                   window ? "window" : "ring", size);
    if (!wanted(name))
        return;
    router = router_start(lanes, -1);
    consumer = start(-1);
    if (consumer == 0)
        consume(&lanes[1], count, window);
    lane_attach(&lanes[0], &port, 0);
    begun = gg_clock();
    for (uint64_t i = 0; i < count;) {
        int sent;

        while (window && i - back == WINDOW)
            back += acknowledged(&port);
        sent = send_one(&port, i, size, GG_FOREVER);
        MUST(sent == GG_OK || sent == GG_EINTR);
        i += sent == GG_OK;
    }
    MUST(waitpid(consumer, &status, 0) == consumer && status == 0);
    seconds = (double)(gg_clock() - begun) / 1e9;
    finish_child(router);
    row(name, "messages/s", (double)count / seconds, "");
    gg_port_free(&port);
    lane_close(&lanes[0]);
    lane_close(&lanes[1]);
}

void bench_relay(int quick)
{
    uint64_t part = quick ? 4 : 1;

    relay(64, 2000000 / part, 0);
    relay(64, 2000000 / part, 1);
    relay(1024, 500000 / part, 0);
    relay(65536, 20000 / part, 0);
    relay(65536, 20000 / part, 1);
}

/* --- round trips --- */

static void serve(const struct lane *lane, int64_t spin_ns)
{
    struct gg_port port;
    struct gg_port_view view;
    uint32_t size = 0;

    lane_attach(lane, &port, spin_ns);
    for (;;) {
        int found = gg_port_receive_batch(&port, &view, 1, 1, GG_FOREVER, 0);
        const uint8_t *data = gg_port_data(&port, &size);

        if (found == GG_EINTR)
            continue;
        MUST(found == 1);
        MUST(gg_port_send(&port, GG_PUBLISH, 0, 0, view.id, data + view.topic,
                          TOPIC, NULL, 0, data + view.payload,
                          view.end - view.payload, 0) == GG_OK);
        gg_port_release(&port);
    }
}

static int64_t round_trip(struct gg_port *port, uint64_t id, int spin)
{
    struct gg_port_view view;
    int64_t begun = gg_clock();
    int found;

    MUST(send_one(port, id, 64, 0) == GG_OK);
    do {
        found = gg_port_receive_batch(port, &view, 1, 1, GG_FOREVER, spin);
    } while (found == GG_EINTR);
    MUST(found == 1 && view.id == id);
    gg_port_release(port);
    return gg_clock() - begun;
}

static void round_trips(const struct pins *pins, int64_t spin_ns, int pace_us,
                        int turns)
{
    int64_t *times;
    struct lane lanes[2];
    struct gg_port port;
    char name[80];
    pid_t router;
    pid_t server;
    pid_t client;
    int status = 0;

    (void)snprintf(name, sizeof name, "roundtrip/ring/%s/%s/%s", pins->name,
                   spin_ns ? "spin" : "block", pace_us ? "paced" : "busy");
    if (!wanted(name))
        return;
    times = shared_times(turns);
    router = router_start(lanes, pins->router);
    server = start(pins->server);
    if (server == 0)
        serve(&lanes[1], 0);
    client = start(pins->client);
    if (client == 0) {
        lane_attach(&lanes[0], &port, spin_ns);
        for (int i = -WARM_UP; i < turns; i++) {
            int64_t time = round_trip(&port, (uint64_t)(i + WARM_UP), 1);

            if (pace_us > 0 && i >= -20)
                (void)usleep((useconds_t)pace_us);
            if (i >= 0)
                times[i] = time;
        }
        _exit(0);
    }
    MUST(waitpid(client, &status, 0) == client && status == 0);
    row_of_times(name, times, turns);
    finish_child(router);
    finish_child(server);
    lane_close(&lanes[0]);
    lane_close(&lanes[1]);
    (void)munmap(times, (size_t)turns * sizeof *times);
}

void bench_round_trips(int turns)
{
    static const struct pins places[] = {
        {"one", 0, 0, 0}, {"two", 0, 1, 1}, {"any", -1, -1, -1}};
    enum { SPIN_NS = 50000, PACE_US = 2000 };

    for (int i = 0; i < 3; i++) {
        if (i == 1 && gg_cpus() == 1)
            continue;
        for (int spin = 0; spin < 2; spin++) {
            round_trips(&places[i], spin * SPIN_NS, 0, turns);
            round_trips(&places[i], spin * SPIN_NS, PACE_US, turns / 40);
        }
    }
}
