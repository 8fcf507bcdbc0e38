/* SPDX-License-Identifier: Apache-2.0 */
/* What a relay through the plane costs: a worker publishes messages of 64
 * bytes, the plane routes them, another worker reads and answers them. JSON,
 * nanoseconds a message, the median of ROUNDS: the work of the plane alone, both
 * ways, in one thread that never sleeps; then with all three in threads, which
 * is mostly the price of waking each other. `make bench-router`. */
#include "gg/plane.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 9, MESSAGES = 300000, RING = 1 << 18, BATCH = 64, SIZE = 64 };

struct worker {
    struct gg_port port;
    uint32_t endpoint;
};

static void must(int condition)
{
    if (!condition)
        abort();
}

static double seconds(clockid_t clock)
{
    struct timespec now;

    must(clock_gettime(clock, &now) == 0);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void *run(void *plane)
{
    gg_plane_run(plane);
    return NULL;
}

/* Stage a frame; show what was staged and wait where the ring is full. */
static void put(struct worker *worker, uint8_t kind, uint64_t id,
                const char *topic, const uint8_t *payload, uint32_t size)
{
    struct gg_header header = {
        .id = id,
        .length = (uint32_t)(GG_FRAME_HEADER + strlen(topic) + size),
        .endpoint = worker->endpoint,
        .topic_size = (uint16_t)strlen(topic),
        .kind = kind};

    while (gg_port_stage(&worker->port, &header, topic, NULL, payload) ==
           GG_AGAIN) {
        uint32_t alarms = gg_port_alarms(&worker->port);

        must(gg_port_flush(&worker->port) == GG_OK);
        must(gg_port_wait(&worker->port, GG_WANT_ROOM, header.length, alarms,
                          GG_FOREVER, 0) > 0);
    }
}

static void *produce(void *argument)
{
    static const uint8_t payload[SIZE];

    for (int i = 0; i < MESSAGES; i++) {
        put(argument, GG_PUBLISH, 0, "a/b", payload, SIZE);
        if (i % 16 == 15) /* as a caller that publishes one by one, nearly */
            must(gg_port_flush(&((struct worker *)argument)->port) == GG_OK);
    }
    must(gg_port_flush(&((struct worker *)argument)->port) == GG_OK);
    return NULL;
}

/* Answer what has arrived; returns how many. */
static int answer(struct worker *worker, int64_t deadline)
{
    struct gg_port_view views[BATCH];
    int count = gg_port_receive_batch(&worker->port, views, BATCH, RING,
                                      deadline, 0);

    if (count == GG_EINTR || count == GG_AGAIN)
        return 0;
    must(count > 0);
    for (int i = 0; i < count; i++)
        put(worker, GG_RESULT, views[i].id, "", NULL, 0);
    must(gg_port_flush(&worker->port) == GG_OK);
    gg_port_release(&worker->port);
    return count;
}

static void consume(struct worker *worker)
{
    for (int done = 0; done < MESSAGES;)
        done += answer(worker, GG_FOREVER);
}

/* The seconds that the plane needs to move a message and its answer. */
static double work_alone(struct gg_plane *plane, struct worker *producer,
                         struct worker *consumer)
{
    static const uint8_t payload[SIZE];
    double spent = 0;

    for (int done = 0; done < MESSAGES;) {
        double start;

        for (int i = 0; i < BATCH / 2; i++)
            put(producer, GG_PUBLISH, 0, "a/b", payload, SIZE);
        must(gg_port_flush(&producer->port) == GG_OK);
        start = seconds(CLOCK_MONOTONIC);
        gg_plane_drain(plane, 10 + producer->endpoint);
        spent += seconds(CLOCK_MONOTONIC) - start;
        done += answer(consumer, 0);
        start = seconds(CLOCK_MONOTONIC);
        gg_plane_drain(plane, 10 + consumer->endpoint);
        spent += seconds(CLOCK_MONOTONIC) - start;
    }
    return spent;
}

static void connect_worker(struct gg_plane *plane, struct worker *worker,
                           uint32_t endpoint)
{
    struct gg_rules rules = {3.0, 60.0, MESSAGES, 1 << 30, 1, 1, 0, 0};
    uint8_t name = (uint8_t)('0' + endpoint);
    struct gg_segment segment;
    int sockets[2];
    int event = -1;
    int fd = -1;

    must(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    must(gg_plane_define_function(plane, endpoint, &rules, &name, 1) == GG_OK);
    must(gg_plane_connect(plane, 10 + endpoint, sockets[0], RING, &fd,
                          &event) == GG_OK);
    must(gg_segment_attach(&segment, fd) == GG_OK);
    must(gg_port_init(&worker->port, &segment, GG_SIDE_WORKER, event,
                      sockets[1], 0) == GG_OK);
    worker->endpoint = endpoint;
    put(worker, GG_READY, 0, "", NULL, 0);
    must(gg_port_flush(&worker->port) == GG_OK);
    must(gg_plane_attach_worker(plane, 10 + endpoint, endpoint,
                                seconds(CLOCK_MONOTONIC)) == GG_OK);
}

static void *install(struct gg_plane *plane)
{
    struct gg_subscription row = {.source = 1, .filter_size = 3};
    struct gg_route route = {.target = 2};
    const struct gg_index *index = NULL;
    const uint8_t *text = (const uint8_t *)"a/b";
    size_t size = 0;
    void *memory;

    must(gg_index_size(&row, 1, text, 3, &size) == GG_OK);
    memory = malloc(size);
    must(gg_index_init(memory, size, &row, 1, text, 3, &index) == GG_OK);
    must(gg_plane_install(plane, index, 1, &route, 1, text, 0) == GG_OK);
    return memory;
}

static int compare(const void *one, const void *other)
{
    double difference = *(const double *)one - *(const double *)other;

    return (difference > 0) - (difference < 0);
}

int main(void)
{
    struct gg_plane_options options = {
        .router = {.work_items = 2 * MESSAGES,
                   .topic_payload_bytes = 1 << 17,
                   .invoke_payload_bytes = 1 << 20},
        .inbox_bytes = 1 << 20,
        .unread_bytes = 1 << 20};
    static struct worker producer, consumer;
    double alone[ROUNDS], whole[ROUNDS];
    struct gg_plane *plane = NULL;
    pthread_t thread, sending;

    must(gg_plane_new(&options, &plane) == GG_OK);
    must(gg_plane_open(plane) == GG_OK);
    connect_worker(plane, &producer, 1);
    connect_worker(plane, &consumer, 2);
    (void)install(plane);
    gg_plane_drain(plane, 11);
    gg_plane_drain(plane, 12);
    for (int round = 0; round < ROUNDS; round++)
        alone[round] =
            work_alone(plane, &producer, &consumer) / MESSAGES * 1e9;
    must(pthread_create(&thread, NULL, run, plane) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        double start = seconds(CLOCK_MONOTONIC);

        must(pthread_create(&sending, NULL, produce, &producer) == 0);
        consume(&consumer);
        must(pthread_join(sending, NULL) == 0);
        whole[round] = (seconds(CLOCK_MONOTONIC) - start) / MESSAGES * 1e9;
    }
    qsort(alone, ROUNDS, sizeof alone[0], compare);
    qsort(whole, ROUNDS, sizeof whole[0], compare);
    printf("{\"plane_ns\": %.0f, \"threads_ns\": %.0f}\n",
           alone[ROUNDS / 2], whole[ROUNDS / 2]);
    gg_plane_stop(plane);
    must(pthread_join(thread, NULL) == 0);
    return 0; /* what is left goes with the process */
}
