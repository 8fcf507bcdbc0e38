/* SPDX-License-Identifier: Apache-2.0 */
#include "gg/plane.h"
#include "gg_pair.h"
#include "gg_test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

/* A plane with its thread, functions 1 and up, and one worker for each, whose
 * peer is 10 more. Function n publishes "a/b" to function n + 1, but the last
 * one; function 1 publishes "all" to everybody else. */

enum {
    MOST = 6,
    CORE_ENDPOINT = 90,
    RING = GG_RING_LEAST,
    RECORDS = 1 << 20,
    SHORTLY_S = 20 /* of a test that would else fail: no test waits it out */
};

struct worker {
    struct gg_port port;
    uint32_t endpoint;
    int socket, event;
};

struct scene {
    struct gg_plane *plane;
    pthread_t thread;
    int threads; /* how many: 1 or 0 */
    struct worker workers[MOST];
    uint32_t count;
    int set; /* of the owner, who waits in the plane; 0: the thread moves all */
    void *index;
    uint8_t records[RECORDS];
    size_t at, used;
    union {
        struct gg_record record; /* and what follows it */
        uint8_t bytes[RECORDS];
    } one;
};

static double now(void)
{
    return (double)gg_clock() / 1e9;
}

static int64_t shortly(void)
{
    return gg_clock() + SHORTLY_S * INT64_C(1000000000);
}

static void *run(void *plane)
{
    gg_plane_run(plane);
    return NULL;
}

static void install(struct scene *scene)
{
    struct gg_subscription table[2 * MOST];
    struct gg_route routes[2 * MOST];
    const struct gg_index *index = NULL;
    uint32_t rows = 0;
    size_t size = 0;

    memset(routes, 0, sizeof routes);
    for (uint32_t n = 1; n < scene->count; n++) {
        table[rows] = (struct gg_subscription){n, rows, 0, 3};
        routes[rows++].target = n + 1;
        table[rows] = (struct gg_subscription){1, rows, 3, 3};
        routes[rows++].target = n + 1;
    }
    CHECK_INT(GG_OK, gg_index_size(table, rows, (const uint8_t *)"a/ball", 6,
                                   &size));
    scene->index = malloc(size);
    CHECK_INT(GG_OK, gg_index_init(scene->index, size, table, rows,
                                   (const uint8_t *)"a/ball", 6, &index));
    CHECK_INT(GG_OK, gg_plane_install(scene->plane, index, rows, routes, rows,
                                      (const uint8_t *)"", 0));
}

static void connect_worker(struct scene *scene, uint32_t n)
{
    struct worker *worker = &scene->workers[n - 1];
    struct gg_segment segment;
    int sockets[2];
    int fd = -1;

    CHECK_INT(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets));
    CHECK_INT(GG_OK, gg_plane_connect(scene->plane, 10 + n, sockets[0], RING,
                                      &fd, &worker->event));
    worker->endpoint = n;
    worker->socket = sockets[1];
    CHECK_INT(GG_OK, gg_segment_attach(&segment, fd));
    CHECK_INT(0, close(fd));
    CHECK_INT(GG_OK, gg_port_init(&worker->port, &segment, GG_SIDE_WORKER,
                                  worker->event, worker->socket, 0));
}

static int send_as(struct worker *worker, uint8_t kind, uint64_t id,
                   const char *topic, const void *payload, uint32_t size)
{
    return gg_port_send(&worker->port, kind, 0, worker->endpoint, id, topic,
                        (uint16_t)strlen(topic), NULL, 0, payload, size,
                        shortly());
}

/* Whether there are records within the time. */
static int await_records(struct scene *scene, int wait_ms)
{
    struct pollfd one = {.fd = gg_plane_fd(scene->plane), .events = POLLIN};
    int found = GG_IS_NOT_LED;

    if (scene->set != 0)
        found = gg_plane_wait(scene->plane, scene->set,
                              wait_ms * INT64_C(1000000));
    if (found == GG_HAS_NEWS)
        return 1;
    return poll(&one, 1, found == GG_IS_NOT_LED ? wait_ms : 0) > 0;
}

/* The next record, or NULL when there is none within the time. */
static const struct gg_record *next_record(struct scene *scene, int wait_ms)
{
    uint32_t size;

    while (scene->at == scene->used) {
        struct gg_taken taken;

        if (!await_records(scene, wait_ms))
            return NULL;
        CHECK_INT(GG_OK, gg_plane_take(scene->plane, now(), scene->records,
                                       RECORDS, &taken));
        scene->at = 0;
        scene->used = (size_t)taken.used;
    }
    memcpy(&size, scene->records + scene->at, sizeof size);
    CHECK(size <= scene->used - scene->at);
    memcpy(&scene->one, scene->records + scene->at, size);
    scene->at += size;
    return &scene->one.record;
}

/* The next record of this type, which must come. */
static const struct gg_record *expect(struct scene *scene, int type)
{
    const struct gg_record *record;

    do {
        record = next_record(scene, SHORTLY_S * 1000);
        CHECK(record != NULL);
    } while (record->type != type);
    return record;
}

/* The text of the next record that cuts a peer off. */
static const char *expect_cut(struct scene *scene, uint32_t peer)
{
    static char text[512];
    const struct gg_record *record = expect(scene, GG_CUT_OFF);

    CHECK_INT(peer, record->peer);
    CHECK(record->payload < sizeof text);
    memcpy(text, record + 1, record->payload);
    text[record->payload] = '\0';
    return text;
}

static void make_scene(struct scene *scene, uint32_t count, uint64_t unread)
{
    struct gg_plane_options options = {
        .router = {.work_items = 100000,
                   .topic_payload_bytes = 1 << 20,
                   .invoke_payload_bytes = GG_BULK_MOST},
        .inbox_bytes = 1 << 19,
        .unread_bytes = unread};
    struct gg_rules rules = {3.0, 60.0, 100000, 1 << 28, 1, 1, 0, 0};

    memset(scene, 0, sizeof *scene);
    scene->count = count;
    CHECK_INT(GG_OK, gg_plane_new(&options, &scene->plane));
    CHECK_INT(GG_OK, gg_plane_open(scene->plane));
    CHECK_INT(GG_EINVAL, gg_plane_open(scene->plane));
    CHECK_INT(GG_OK, gg_plane_define_peer(scene->plane, CORE_ENDPOINT, 0, 0));
    CHECK_INT(GG_OK, gg_plane_attach(scene->plane, GG_CORE, CORE_ENDPOINT));
    for (uint32_t n = 1; n <= count; n++) {
        uint8_t name = (uint8_t)('0' + n);

        CHECK_INT(GG_OK, gg_plane_define_function(scene->plane, n, &rules,
                                                  &name, 1));
    }
    install(scene);
}

static void connect_workers(struct scene *scene)
{
    for (uint32_t n = 1; n <= scene->count; n++) {
        connect_worker(scene, n);
        CHECK_INT(GG_OK,
                  send_as(&scene->workers[n - 1], GG_READY, 0, "", NULL, 0));
        CHECK_INT(GG_OK,
                  gg_plane_attach_worker(scene->plane, 10 + n, n, now()));
        CHECK_INT(10 + n, expect(scene, GG_WORKER_READY)->peer);
    }
}

static void open_scene(struct scene *scene, uint32_t count, uint64_t unread)
{
    make_scene(scene, count, unread);
    CHECK_INT(0, pthread_create(&scene->thread, NULL, run, scene->plane));
    scene->threads = 1;
    connect_workers(scene);
}

static void close_worker(struct worker *worker)
{
    gg_port_free(&worker->port);
    CHECK_INT(0, close(worker->socket));
    CHECK_INT(0, close(worker->event));
    worker->socket = -1;
}

static void close_scene(struct scene *scene)
{
    gg_plane_stop(scene->plane);
    if (scene->threads > 0)
        CHECK_INT(0, pthread_join(scene->thread, NULL));
    gg_plane_free(scene->plane);
    if (scene->set != 0)
        CHECK_INT(0, close(scene->set));
    for (uint32_t n = 0; n < scene->count; n++)
        if (scene->workers[n].socket != -1)
            close_worker(&scene->workers[n]);
    free(scene->index);
}

/* A frame that a worker received, copied. */
struct frame {
    uint64_t id;
    uint32_t size;
    uint8_t kind, flags;
    uint8_t *payload;
};

static int take_descriptor(struct worker *worker)
{
    uint8_t bytes[GG_FRAME_HEADER];
    int fd = -1;

    CHECK_INT(sizeof bytes,
              gg_bulk_receive(worker->socket, bytes, sizeof bytes, &fd));
    CHECK(fd != -1);
    return fd;
}

static struct frame receive(struct worker *worker)
{
    struct gg_port_view view;
    struct frame frame;
    const uint8_t *data;
    uint32_t size;

    CHECK_INT(1, gg_port_receive_batch(&worker->port, &view, 1, UINT32_MAX,
                                       shortly(), 0));
    data = gg_port_data(&worker->port, &size);
    frame.id = view.id;
    frame.kind = view.kind;
    frame.flags = view.flags;
    frame.size = view.bulk_size > 0 ? view.bulk_size : view.end - view.payload;
    frame.payload = malloc(frame.size + 1);
    if (view.bulk_size > 0) {
        int fd = take_descriptor(worker);

        CHECK_INT(GG_OK, gg_bulk_read(fd, view.bulk_size, frame.payload));
        CHECK_INT(0, close(fd));
    } else {
        memcpy(frame.payload, data + view.payload, frame.size);
    }
    gg_port_release(&worker->port);
    return frame;
}

/* Receive a message, answer it, and check that it is number `number`. */
static void work(struct worker *worker, uint32_t size, uint64_t number)
{
    struct frame frame = receive(worker);

    CHECK_INT(GG_MESSAGE, frame.kind);
    CHECK_INT(size, frame.size);
    CHECK(gg_is_filled(frame.payload, size, number));
    free(frame.payload);
    CHECK_INT(GG_OK, send_as(worker, GG_RESULT, frame.id, "", NULL, 0));
}

static void publish(struct worker *worker, const char *topic, uint32_t size,
                    uint64_t number)
{
    uint8_t *payload = malloc(size + 1);

    gg_fill(payload, size, number);
    CHECK_INT(GG_OK, send_as(worker, GG_PUBLISH, 0, topic, payload, size));
    free(payload);
}

static uint64_t items(struct scene *scene)
{
    struct gg_router_counts counts;

    gg_plane_counts(scene->plane, &counts);
    return counts.items;
}

static void await_idle(struct scene *scene)
{
    int64_t until = shortly();

    while (items(scene) > 0)
        CHECK(gg_clock() < until);
}

TEST(a_plane_that_is_not_open_has_no_ring_peers)
{
    struct gg_plane_options options = {.inbox_bytes = 1};
    struct gg_plane *plane = NULL;
    int segment = -1;
    int event = -1;

    CHECK_INT(GG_OK, gg_plane_new(&options, &plane));
    CHECK_INT(GG_EINVAL, gg_plane_connect(plane, 1, 0, RING, &segment, &event));
    CHECK_INT(-1, gg_plane_fd(plane));
    gg_plane_free(plane);
    gg_plane_free(NULL);
}

TEST(a_peer_is_connected_once_and_by_a_ring_that_exists)
{
    static struct scene scene;
    int segment = -1;
    int event = -1;

    open_scene(&scene, 1, 1 << 20);
    CHECK_INT(GG_EINVAL,
              gg_plane_connect(scene.plane, 11, 0, RING, &segment, &event));
    CHECK_INT(GG_EINVAL,
              gg_plane_connect(scene.plane, 0, 0, RING, &segment, &event));
    CHECK_INT(GG_EINVAL,
              gg_plane_connect(scene.plane, 12, 0, 1000, &segment, &event));
    CHECK_INT(GG_IS_CONNECTED, gg_plane_peer_state(scene.plane, 11));
    CHECK_INT(0, gg_plane_peer_state(scene.plane, 12));
    close_scene(&scene);
}

TEST(messages_pass_from_worker_to_worker_in_order)
{
    static struct scene scene;

    open_scene(&scene, 2, 1 << 20);
    for (uint64_t number = 0; number < 3000; number++) {
        publish(&scene.workers[0], "a/b", (uint32_t)(number % 900), number);
        if (number % 3 == 2) /* some at once, some after others */
            for (uint64_t i = number - 2; i <= number; i++)
                work(&scene.workers[1], (uint32_t)(i % 900), i);
    }
    await_idle(&scene);
    CHECK(next_record(&scene, 0) == NULL);
    close_scene(&scene);
}

/* The worker answers as one does that has more in hand; nobody wakes the plane
 * for what is on its way, and all of it arrives. */
TEST(what_need_not_wake_the_plane_arrives_in_order)
{
    static struct scene scene;
    int64_t until = shortly();
    uint64_t sent = 0;

    open_scene(&scene, 2, 1 << 20);
    for (uint64_t number = 0; number < 3000; number++) {
        struct frame frame;

        for (; sent < number + 40 && sent < 3000; sent++) {
            uint8_t payload[64];

            gg_fill(payload, sizeof payload, sent);
            while (gg_port_send(&scene.workers[0].port, GG_PUBLISH, 0, 1, 0,
                                "a/b", 3, NULL, 0, payload, sizeof payload,
                                GG_SOON) != GG_OK)
                CHECK(gg_clock() < until);
        }
        frame = receive(&scene.workers[1]);
        CHECK_INT(64, frame.size);
        CHECK(gg_is_filled(frame.payload, 64, number));
        free(frame.payload);
        CHECK_INT(GG_OK, gg_port_send(&scene.workers[1].port, GG_RESULT, 0, 2,
                                      frame.id, "", 0, NULL, 0, NULL, 0,
                                      number % 16 == 15 ? 0 : GG_SOON));
    }
    await_idle(&scene);
    close_scene(&scene);
}

TEST(an_invocation_comes_back_with_its_result)
{
    static struct scene scene;
    struct frame frame;

    open_scene(&scene, 2, 1 << 20);
    CHECK_INT(GG_OK,
              send_as(&scene.workers[0], GG_INVOKE, 77, "2", "ask", 3));
    frame = receive(&scene.workers[1]);
    CHECK_INT(GG_INVOKE, frame.kind);
    CHECK(memcmp(frame.payload, "ask", 3) == 0);
    free(frame.payload);
    CHECK_INT(GG_OK, send_as(&scene.workers[1], GG_RESULT, frame.id, "",
                             "answer", 6));
    frame = receive(&scene.workers[0]);
    CHECK_INT(GG_RESULT, frame.kind);
    CHECK_INT(77, frame.id);
    CHECK(memcmp(frame.payload, "answer", 6) == 0);
    free(frame.payload);
    close_scene(&scene);
}

TEST(large_payloads_pass_as_descriptors_to_all_targets)
{
    static struct scene scene;
    const uint32_t size = 300000;

    open_scene(&scene, 4, 1 << 24);
    for (uint64_t number = 1; number <= 20; number++) {
        publish(&scene.workers[0], "all", size, number);
        for (uint32_t n = 1; n < 4; n++)
            work(&scene.workers[n], size, number);
    }
    publish(&scene.workers[0], "all", 10, 21); /* small ones keep their place */
    for (uint32_t n = 1; n < 4; n++)
        work(&scene.workers[n], 10, 21);
    await_idle(&scene);
    close_scene(&scene);
}

TEST(more_large_payloads_wait_than_descriptors_are_kept)
{
    static struct scene scene;
    enum { MESSAGES = 200 };
    const uint32_t size = 70000;

    open_scene(&scene, 2, 1 << 26);
    for (uint64_t number = 0; number < MESSAGES; number++)
        publish(&scene.workers[0], "a/b", size, number);
    for (uint64_t number = 0; number < MESSAGES; number++)
        work(&scene.workers[1], size, number);
    await_idle(&scene);
    close_scene(&scene);
}

TEST(a_plane_is_freed_with_large_payloads_in_it)
{
    static struct scene scene;

    open_scene(&scene, 2, 1 << 26);
    for (uint64_t number = 0; number < 20; number++)
        publish(&scene.workers[0], "a/b", 70000, number);
    close_scene(&scene);
}

TEST(the_owner_sees_the_bytes_of_a_large_payload)
{
    static struct scene scene;
    const uint32_t size = 100000;
    const struct gg_record *record;

    open_scene(&scene, 2, 1 << 20);
    gg_plane_tap(scene.plane, 1);
    publish(&scene.workers[0], "a/b", size, 7);
    record = expect(&scene, GG_TAPPED);
    CHECK_INT(size, record->payload);
    CHECK(gg_is_filled((const uint8_t *)(record + 1) + 3, size, 7));
    work(&scene.workers[1], size, 7);
    record = expect(&scene, GG_FINISHED);
    CHECK_INT(size, record->payload);
    CHECK(gg_is_filled((const uint8_t *)(record + 1) +
                           sizeof(struct gg_finished) + 3,
                       size, 7));
    close_scene(&scene);
}

TEST(a_large_result_reaches_its_caller)
{
    static struct scene scene;
    static uint8_t large[2000000];
    struct frame frame;

    open_scene(&scene, 2, 1 << 24);
    gg_fill(large, sizeof large, 5);
    CHECK_INT(GG_OK, send_as(&scene.workers[0], GG_INVOKE, 9, "2", large,
                             sizeof large));
    frame = receive(&scene.workers[1]);
    CHECK(gg_is_filled(frame.payload, frame.size, 5));
    CHECK_INT(GG_OK, send_as(&scene.workers[1], GG_RESULT, frame.id, "",
                             frame.payload, frame.size));
    free(frame.payload);
    frame = receive(&scene.workers[0]);
    CHECK_INT(sizeof large, frame.size);
    CHECK(gg_is_filled(frame.payload, frame.size, 5));
    free(frame.payload);
    close_scene(&scene);
}

TEST(what_the_owner_sends_reaches_a_worker_and_the_other_way_round)
{
    static struct scene scene;
    struct gg_frame frame = {.context = 1, .payload = 1, .end = 4, .id = 3,
                             .kind = GG_INVOKE, .endpoint = CORE_ENDPOINT};
    const struct gg_record *record;
    struct frame got;

    open_scene(&scene, 1, 1 << 20);
    CHECK_INT(GG_OK, gg_plane_receive(scene.plane, GG_CORE,
                                      (const uint8_t *)"1ask", &frame, now()));
    got = receive(&scene.workers[0]);
    CHECK(memcmp(got.payload, "ask", 3) == 0);
    free(got.payload);
    CHECK_INT(GG_OK, send_as(&scene.workers[0], GG_RESULT, got.id, "", "yes",
                             3));
    record = expect(&scene, GG_SEND);
    CHECK_INT(GG_CORE, record->peer);
    CHECK_INT(3, record->id);
    CHECK(memcmp((const uint8_t *)(record + 1) + 8, "yes", 3) == 0);

    frame.kind = GG_CONTROL;
    CHECK_INT(GG_OK, gg_plane_send(scene.plane, 11, (const uint8_t *)"1ask",
                                   &frame));
    got = receive(&scene.workers[0]);
    CHECK_INT(GG_CONTROL, got.kind);
    CHECK(memcmp(got.payload, "ask", 3) == 0);
    free(got.payload);
    CHECK_INT(GG_OK, gg_plane_send(scene.plane, 99, (const uint8_t *)"1ask",
                                   &frame));
    close_scene(&scene);
}

TEST(the_owner_ends_several_items_in_one_turn)
{
    static struct scene scene;
    const struct gg_rules rules = {3.0, 60.0, 100, 1 << 20, 1, 1, 0, 8};
    const struct gg_frame ready = {.kind = GG_READY, .endpoint = 7};
    struct gg_ending endings[2] = {{.size = 3}, {.size = 6}};
    struct frame got;

    open_scene(&scene, 1, 1 << 20);
    CHECK_INT(GG_OK, gg_plane_define_function(scene.plane, 7, &rules,
                                              (const uint8_t *)"7", 1));
    CHECK_INT(GG_OK, gg_plane_attach_worker(scene.plane, 70, 7, now()));
    CHECK_INT(GG_OK, gg_plane_receive(scene.plane, 70, (const uint8_t *)"",
                                      &ready, now()));
    for (uint64_t i = 0; i < 2; i++) {
        CHECK_INT(GG_OK, send_as(&scene.workers[0], GG_INVOKE, 20 + i, "7",
                                 "in", 2));
        endings[i].id = expect(&scene, GG_SEND)->id;
    }
    CHECK_INT(2, gg_plane_end(scene.plane, 70, 7, (const uint8_t *)"onesecond",
                              endings, 2, now()));
    got = receive(&scene.workers[0]);
    CHECK_INT(20, got.id);
    CHECK(got.size == 3 && memcmp(got.payload, "one", 3) == 0);
    free(got.payload);
    got = receive(&scene.workers[0]);
    CHECK_INT(21, got.id);
    CHECK(got.size == 6 && memcmp(got.payload, "second", 6) == 0);
    free(got.payload);
    close_scene(&scene);
}

TEST(a_large_result_of_the_owner_reaches_its_caller)
{
    static struct scene scene;
    static uint8_t large[RING];
    const struct gg_rules rules = {3.0, 60.0, 100, 1 << 20, 1, 1, 1, 0};
    const struct gg_frame ready = {.kind = GG_READY, .endpoint = 7};
    struct gg_ending ending = {.size = sizeof large};
    struct frame got;

    open_scene(&scene, 1, 1 << 20);
    CHECK_INT(GG_OK, gg_plane_define_function(scene.plane, 7, &rules,
                                              (const uint8_t *)"7", 1));
    CHECK_INT(GG_OK, gg_plane_attach_worker(scene.plane, 70, 7, now()));
    CHECK_INT(GG_OK, gg_plane_receive(scene.plane, 70, (const uint8_t *)"",
                                      &ready, now()));
    gg_fill(large, sizeof large, 5);
    gg_plane_tap(scene.plane, 1);
    for (int i = 0; i < 2 * GG_BULK_IN_FLIGHT; i++) {
        CHECK_INT(GG_OK, send_as(&scene.workers[0], GG_INVOKE, 20, "7", "in",
                                 2));
        ending.id = expect(&scene, GG_SEND)->id;
        CHECK_INT(1, gg_plane_end(scene.plane, 70, 7, large, &ending, 1,
                                  now()));
        got = receive(&scene.workers[0]);
        CHECK_INT(sizeof large, got.size);
        CHECK(gg_is_filled(got.payload, got.size, 5));
        free(got.payload);
    }
    close_scene(&scene);
}

/* Make function 7, for which the owner works, with items of ring peers. */
static void open_with_owner(struct scene *scene)
{
    const struct gg_rules rules = {3.0, 60.0, 1000, 1 << 20, 1, 1, 0, 200};
    const struct gg_frame ready = {.kind = GG_READY, .endpoint = 7};

    open_scene(scene, 1, 1 << 30);
    CHECK_INT(GG_OK, gg_plane_define_function(scene->plane, 7, &rules,
                                              (const uint8_t *)"7", 1));
    CHECK_INT(GG_OK, gg_plane_attach_worker(scene->plane, 70, 7, now()));
    CHECK_INT(GG_OK, gg_plane_receive(scene->plane, 70, (const uint8_t *)"",
                                      &ready, now()));
}

/* Have a ring peer ask the owner; returns the number of the item. */
static uint64_t ask_owner(struct scene *scene)
{
    CHECK_INT(GG_OK,
              send_as(&scene->workers[0], GG_INVOKE, 20, "7", "in", 2));
    return expect(scene, GG_SEND)->id;
}

TEST(a_result_that_waits_keeps_its_work_id_when_many_more_do)
{
    enum { MANY = 100 };
    static struct scene scene;
    static uint8_t large[RING];
    uint64_t items[MANY];

    open_with_owner(&scene);
    for (int i = 0; i < MANY; i++)
        items[i] = ask_owner(&scene);
    for (int i = 0; i < MANY; i++) {
        struct gg_ending ending = {.id = items[i], .size = sizeof large};

        CHECK_INT(1, gg_plane_end(scene.plane, 70, 7, large, &ending, 1,
                                  now()));
    }
    for (int i = 0; i < MANY; i++) {
        struct worker *worker = &scene.workers[0];
        struct gg_received received;

        CHECK((gg_port_wait(&worker->port, GG_WANT_DATA, 0,
                            gg_port_alarms(&worker->port), shortly(), 0) &
               GG_WANT_DATA) != 0);
        CHECK_INT(GG_OK, gg_port_receive(&worker->port, &received));
        CHECK_INT(8, received.header.context_size);
        CHECK(memcmp(&items[i], received.context, 8) == 0);
        CHECK_INT(0, close(take_descriptor(worker)));
        gg_port_release(&worker->port);
    }
    close_scene(&scene);
}

/* A file that starts with 7 bytes, then `size` that gg_is_filled() knows. */
static int open_file(uint32_t size)
{
    static uint8_t bytes[RING];
    int fd = memfd_create("file", MFD_CLOEXEC);

    gg_fill(bytes, size, 9);
    CHECK_INT(7, write(fd, "before!", 7));
    CHECK_INT(size, write(fd, bytes, size));
    return fd;
}

/* Answer with "head" and what is in a file; returns whether that is still held
 * by the plane. */
static int answer_from(struct scene *scene, uint64_t id, int fd, uint32_t size)
{
    struct gg_ending ending = {
        .id = id, .size = 4, .offset = 7, .lent = size,
        .file = fcntl(fd, F_DUPFD_CLOEXEC, 0)};

    CHECK(ending.file != -1);
    CHECK_INT(1, gg_plane_end(scene->plane, 70, 7, (const uint8_t *)"head",
                              &ending, 1, now()));
    return fcntl(ending.file, F_GETFD) != -1;
}

/* Receive such an answer; returns whether it was lent. */
static int receive_answer(struct worker *worker, uint32_t size)
{
    static uint8_t bytes[RING + 4];
    struct gg_port_view view;
    const uint8_t *at;
    uint32_t ring;
    int fd, lent;

    CHECK_INT(1, gg_port_receive_batch(&worker->port, &view, 1, UINT32_MAX,
                                       shortly(), 0));
    CHECK_INT(GG_RESULT, view.kind);
    lent = view.end - view.payload != GG_REFERENCE_SIZE;
    fd = take_descriptor(worker);
    if (lent) {
        CHECK_INT(size, view.bulk_size);
        CHECK_INT(4 + GG_LENT_SIZE, view.end - view.payload);
        at = gg_port_data(&worker->port, &ring) + view.payload;
        memcpy(bytes, at, 4);
        CHECK(memcmp("\7\0\0\0\0\0\0\0", at + 12, 8) == 0);
        gg_lent_read(fd, 7, size, bytes + 4);
    } else {
        CHECK_INT(size + 4, view.bulk_size);
        CHECK_INT(GG_OK, gg_bulk_read(fd, size + 4, bytes));
    }
    gg_port_release(&worker->port);
    CHECK_INT(0, close(fd));
    CHECK(memcmp("head", bytes, 4) == 0);
    CHECK(gg_is_filled(bytes + 4, size, 9));
    return lent;
}

TEST(bytes_of_a_file_are_lent_to_a_ring_peer)
{
    static struct scene scene;
    int fd = open_file(RING);

    open_with_owner(&scene);
    for (int i = 0; i < 2 * GG_BULK_IN_FLIGHT; i++) {
        CHECK_INT(0, answer_from(&scene, ask_owner(&scene), fd, RING));
        CHECK_INT(1, receive_answer(&scene.workers[0], RING));
    }
    CHECK_INT(0, close(fd));
    close_scene(&scene);
}

TEST(with_many_descriptors_under_way_bytes_are_read_instead_of_lent)
{
    enum { HELD = 128, MORE = 5 };
    static struct scene scene;
    uint64_t items[GG_BULK_IN_FLIGHT + HELD + MORE];
    const int count = sizeof items / sizeof items[0];
    int fd = open_file(RING);

    open_with_owner(&scene);
    for (int i = 0; i < count; i++)
        items[i] = ask_owner(&scene);
    for (int i = 0; i < count; i++) /* sent, wait, were read */
        CHECK_INT(i >= GG_BULK_IN_FLIGHT && i < GG_BULK_IN_FLIGHT + HELD,
                  answer_from(&scene, items[i], fd, RING));
    for (int i = 0; i < count; i++)
        CHECK_INT(i < GG_BULK_IN_FLIGHT + HELD,
                  receive_answer(&scene.workers[0], RING));
    CHECK_INT(0, close(fd));
    close_scene(&scene);
}

TEST(who_watches_is_told_what_was_lent)
{
    static struct scene scene;
    const struct gg_record *record;
    const uint8_t *document;
    int fd = open_file(100);

    open_with_owner(&scene);
    gg_plane_tap(scene.plane, 1);
    (void)answer_from(&scene, ask_owner(&scene), fd, 100);
    record = expect(&scene, GG_FINISHED);
    CHECK_INT(104, record->document);
    document = (const uint8_t *)record + record->size - 104;
    CHECK(memcmp("head", document, 4) == 0);
    CHECK(gg_is_filled(document + 4, 100, 9));
    CHECK_INT(0, close(fd));
    close_scene(&scene);
}

TEST(a_file_is_closed_whoever_still_waits_for_it)
{
    static struct scene scene;
    uint64_t items[2 * GG_BULK_IN_FLIGHT];
    int fd = open_file(RING);
    int last = -1;

    open_with_owner(&scene);
    for (int i = 0; i < 2 * GG_BULK_IN_FLIGHT; i++)
        items[i] = ask_owner(&scene);
    for (int i = 0; i < 2 * GG_BULK_IN_FLIGHT - 1; i++)
        (void)answer_from(&scene, items[i], fd, RING); /* some must wait */
    last = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    CHECK_INT(0, close(last));
    gg_plane_disconnect(scene.plane, 11);
    CHECK_INT(GG_OK, gg_plane_detach(scene.plane, 11, NULL, 0, now()));
    CHECK_INT(0, answer_from(&scene, items[2 * GG_BULK_IN_FLIGHT - 1], fd,
                             RING)); /* nobody is there */
    for (int other = last - GG_BULK_IN_FLIGHT + 1; other < last; other++)
        CHECK_INT(-1, fcntl(other, F_GETFD));
    CHECK_INT(0, close(fd));
    close_scene(&scene);
}

TEST(a_word_says_whether_there_is_something_to_take)
{
    static struct scene scene;
    struct gg_frame frame = {.context = 7, .payload = 7, .end = 7, .id = 3,
                             .kind = GG_INVOKE, .endpoint = CORE_ENDPOINT};
    const uint32_t *waits;

    open_scene(&scene, 1, 1 << 20);
    waits = gg_plane_waits(scene.plane);
    CHECK_INT(GG_OK, gg_plane_receive(scene.plane, GG_CORE,
                                      (const uint8_t *)"nothere", &frame,
                                      now()));
    CHECK(*waits != 0);
    CHECK_INT(3, expect(&scene, GG_SEND)->id);
    CHECK_INT(0, *waits);
    close_scene(&scene);
}

TEST(control_frames_of_ring_and_socket_are_for_the_owner)
{
    static struct scene scene;
    const struct gg_header header = {.id = 4,
                                     .length = GG_FRAME_HEADER + 5,
                                     .kind = GG_CONTROL};
    uint8_t bytes[GG_FRAME_HEADER + 5];
    const struct gg_record *record;

    open_scene(&scene, 1, 1 << 20);
    CHECK_INT(GG_OK, send_as(&scene.workers[0], GG_CONTROL, 3, "", "ring", 4));
    record = expect(&scene, GG_CONTROL_FRAME);
    CHECK_INT(11, record->peer);
    CHECK_INT(3, record->id);
    CHECK(memcmp(record + 1, "ring", 4) == 0);
    gg_header_write(bytes, &header);
    memcpy(bytes + GG_FRAME_HEADER, "socks", 5);
    for (size_t i = 0; i < sizeof bytes; i++) /* in the smallest pieces */
        CHECK_INT(1, send(scene.workers[0].socket, bytes + i, 1, 0));
    record = expect(&scene, GG_CONTROL_FRAME);
    CHECK_INT(4, record->id);
    CHECK(memcmp(record + 1, "socks", 5) == 0);
    close_scene(&scene);
}

TEST(a_worker_that_does_not_read_blocks_nobody_and_is_cut_off_in_the_end)
{
    static struct scene scene;
    uint64_t number = 0;

    open_scene(&scene, 3, 1 << 20);
    /* Worker 1 asks for verdicts and reads none of them. */
    while (gg_plane_peer_state(scene.plane, 11) != 0) {
        int status = gg_port_send(&scene.workers[0].port, GG_PUBLISH, 2, 1,
                                  number, "no/row", 6, NULL, 0, "x", 1, 0);

        CHECK(status == GG_OK || status == GG_AGAIN);
        publish(&scene.workers[1], "a/b", 10, ++number);
        work(&scene.workers[2], 10, number);
    }
    CHECK(strstr(expect_cut(&scene, 11), "did not read: ") != NULL);
    close_scene(&scene);
}

TEST(what_waits_for_room_comes_in_order_when_the_worker_reads_on)
{
    static struct scene scene;
    enum { VERDICTS = 4000 }; /* some rings full */

    open_scene(&scene, 1, 1 << 24);
    for (uint64_t number = 0; number < VERDICTS; number++)
        CHECK_INT(GG_OK, gg_port_send(&scene.workers[0].port, GG_PUBLISH, 2, 1,
                                      number, "no/row", 6, NULL, 0, "x", 1,
                                      shortly()));
    while (gg_plane_peer_state(scene.plane, 11) ==
           GG_IS_CONNECTED) /* not for long */
        ;
    for (uint64_t number = 0; number < VERDICTS; number++) {
        struct frame frame = receive(&scene.workers[0]);

        CHECK_INT(GG_VERDICT, frame.kind);
        CHECK_INT(number, frame.id);
        free(frame.payload);
    }
    CHECK_INT(GG_IS_CONNECTED, gg_plane_peer_state(scene.plane, 11));
    close_scene(&scene);
}

TEST(what_a_dead_worker_committed_is_received_before_it_is_forgotten)
{
    static struct scene scene;

    open_scene(&scene, 2, 1 << 20);
    for (uint64_t number = 0; number < 200; number++)
        publish(&scene.workers[0], "a/b", 10, number);
    close_worker(&scene.workers[0]);
    CHECK_INT(GG_IS_CONNECTED | GG_HAS_HUNG_UP,
              gg_plane_peer_state(scene.plane, 11));
    CHECK_INT(GG_IS_CONNECTED, gg_plane_peer_state(scene.plane, 12));
    gg_plane_disconnect(scene.plane, 11);
    CHECK_INT(GG_OK, gg_plane_detach(scene.plane, 11, (const uint8_t *)"{}", 2,
                                     now()));
    CHECK_INT(0, gg_plane_peer_state(scene.plane, 11));
    for (uint64_t number = 0; number < 200; number++)
        work(&scene.workers[1], 10, number);
    close_scene(&scene);
}

TEST(the_end_of_a_connection_is_told_once)
{
    static struct scene scene;

    open_scene(&scene, 2, 1 << 20);
    close_worker(&scene.workers[0]);
    CHECK_INT(11, expect(&scene, GG_ENDED)->peer);
    CHECK(next_record(&scene, 20) == NULL);
    CHECK_INT(GG_IS_CONNECTED | GG_HAS_HUNG_UP,
              gg_plane_peer_state(scene.plane, 11));
    gg_plane_disconnect(scene.plane, 11);
    gg_plane_disconnect(scene.plane, 11);
    close_scene(&scene);
}

TEST(a_deadline_fires_without_the_owner_and_nothing_later_counts)
{
    static struct scene scene;
    struct frame frame;

    open_scene(&scene, 2, 1 << 20);
    CHECK_INT(GG_OK, send_as(&scene.workers[0], GG_INVOKE, 1, "2", "x", 1));
    frame = receive(&scene.workers[1]);
    free(frame.payload);
    CHECK_INT(12, expect(&scene, GG_RETIRE_WORKER)->peer);
    CHECK_INT(GG_OK, send_as(&scene.workers[1], GG_RESULT, frame.id, "", "late",
                             4));
    CHECK_INT(GG_OK, send_as(&scene.workers[1], GG_CONTROL, 1, "", "late", 4));
    frame = receive(&scene.workers[0]);
    CHECK_INT(GG_RESULT, frame.kind);
    CHECK(frame.flags != 0 && frame.size > 4);
    free(frame.payload);
    gg_plane_disconnect(scene.plane, 12);
    while (next_record(&scene, 20) != NULL)
        CHECK(scene.used > 0);
    close_scene(&scene);
}

/* Have worker 1 do something hostile; the plane must name it and serve the
 * others. */
static void attack(void (*hostile)(struct worker *), const char *reason)
{
    static struct scene scene;
    const char *text;

    open_scene(&scene, 3, 1 << 20);
    hostile(&scene.workers[0]);
    text = expect_cut(&scene, 11);
    if (strstr(text, reason) == NULL)
        (void)fprintf(stderr, "%s\n", text);
    CHECK(strstr(text, reason) != NULL);
    CHECK_INT(0, gg_plane_peer_state(scene.plane, 11));
    publish(&scene.workers[1], "a/b", 10, 1);
    work(&scene.workers[2], 10, 1);
    close_scene(&scene);
}

static void scribble(struct worker *worker)
{
    memset(worker->port.segment.up, 0xFF, worker->port.segment.up_capacity);
    gg_store_seq(&worker->port.segment.control->up.tail, 12345);
    gg_event_ring(worker->event);
}

TEST(garbage_in_the_ring_is_found_out)
{
    attack(scribble, "broke its ring: ");
}

static void jump(struct worker *worker)
{
    gg_store_seq(&worker->port.segment.control->up.tail, UINT32_C(1) << 30);
    gg_event_ring(worker->event);
}

TEST(an_index_beyond_the_ring_is_found_out)
{
    attack(jump, "moved an index");
}

static void babble(struct worker *worker)
{
    CHECK_INT(30, send(worker->socket, "GET / HTTP/1.1 and so on......", 30, 0));
}

TEST(garbage_on_the_socket_is_found_out)
{
    attack(babble, "sent on its socket what is no frame: ");
}

static void hoard(struct worker *worker)
{
    int fd = -1;

    CHECK_INT(GG_OK, gg_bulk_create("x", 1, &fd));
    for (uint32_t number = 1; number <= GG_BULK_IN_FLIGHT + 1; number++)
        CHECK_INT(GG_OK, gg_bulk_send(worker->socket, fd, number));
    CHECK_INT(0, close(fd));
}

TEST(too_many_descriptors_are_found_out)
{
    attack(hoard, "sent too many descriptors");
}

static void forge(struct worker *worker)
{
    uint8_t reference[GG_REFERENCE_SIZE];
    const struct gg_reference of = {1000, 1};
    struct gg_header header = {.length = GG_FRAME_HEADER + sizeof reference,
                               .endpoint = worker->endpoint,
                               .kind = GG_PUBLISH};
    uint8_t *at = NULL;

    gg_reference_write(reference, &of);
    CHECK_INT(GG_OK, gg_ring_reserve(&worker->port.out, header.length, &at));
    gg_header_write(at, &header);
    at[4] |= GG_BULK;
    memcpy(at + GG_FRAME_HEADER, reference, sizeof reference);
    gg_ring_commit(&worker->port.out);
    gg_event_ring(worker->event);
}

TEST(a_reference_without_a_descriptor_is_found_out)
{
    attack(forge, "A large message is not sealed");
}

static void forge_unsealed(struct worker *worker)
{
    char name[] = "/tmp/gg_plane_XXXXXX";
    int fd = mkstemp(name);

    CHECK(fd != -1);
    CHECK_INT(0, unlink(name));
    CHECK_INT(0, ftruncate(fd, 1000));
    CHECK_INT(GG_OK, gg_bulk_send(worker->socket, fd, 1));
    CHECK_INT(0, close(fd));
    forge(worker);
}

TEST(a_descriptor_that_is_no_sealed_memfd_is_found_out)
{
    attack(forge_unsealed, "A large message is not sealed");
}

static void storm(struct worker *worker)
{
    struct pollfd one = {.fd = worker->socket, .events = POLLRDHUP};

    while (poll(&one, 1, 0) == 0)
        gg_event_ring(worker->event);
}

TEST(a_storm_of_wake_ups_is_found_out)
{
    attack(storm, "times for nothing");
}

static void tell_lies(struct worker *worker)
{
    struct pollfd one = {.fd = worker->socket, .events = POLLRDHUP};

    while (poll(&one, 1, 0) == 0)
        (void)gg_port_tell(&worker->port);
}

TEST(news_of_nothing_are_found_out)
{
    attack(tell_lies, "times for nothing");
}

static void flood(struct worker *worker)
{
    static const uint8_t payload[10000];
    struct pollfd one = {.fd = worker->socket, .events = POLLRDHUP};

    while (poll(&one, 1, 0) == 0) {
        int status =
            gg_port_send(&worker->port, GG_CONTROL, 0, 1, 1, "", 0, NULL, 0,
                         payload, sizeof payload, 0);

        CHECK(status == GG_OK || status == GG_AGAIN);
    }
}

TEST(a_flood_of_control_frames_is_found_out)
{
    attack(flood, "more control frames than the core takes");
}

TEST(an_inbox_that_nobody_takes_is_bounded_and_tells_what_it_left_out)
{
    static struct scene scene;
    uint64_t tapped = 0;
    uint64_t skipped = 0;
    enum { MESSAGES = 3000 };

    open_scene(&scene, 2, 1 << 20);
    gg_plane_tap(scene.plane, 1);
    for (uint64_t number = 0; number < MESSAGES; number++) {
        publish(&scene.workers[0], "a/b", 500, number);
        work(&scene.workers[1], 500, number);
    }
    await_idle(&scene);
    for (const struct gg_record *record;
         (record = next_record(&scene, 20)) != NULL;) {
        tapped += record->type == GG_TAPPED || record->type == GG_FINISHED;
        skipped += record->type == GG_SKIPPED ? record->id : 0;
    }
    CHECK_INT(2 * MESSAGES, tapped + skipped);
    CHECK(skipped > 0 && tapped > 0);
    gg_plane_tap(scene.plane, 0);
    close_scene(&scene);
}

/* The owner in place of the thread. */

static void lead(struct scene *scene)
{
    struct epoll_event event = {.events = EPOLLIN};

    scene->set = epoll_create1(EPOLL_CLOEXEC);
    CHECK(scene->set > 0);
    CHECK_INT(0, epoll_ctl(scene->set, EPOLL_CTL_ADD,
                           gg_plane_fd(scene->plane), &event));
}

/* Everybody at once: the thread, the owner, and workers in threads. */

struct busy {
    struct worker *worker;
    uint64_t messages;
};

static void *send_many(void *argument)
{
    struct busy *busy = argument;

    for (uint64_t number = 0; number < busy->messages; number++)
        publish(busy->worker, "all", 64, number);
    return NULL;
}

static void *work_many(void *argument)
{
    struct busy *busy = argument;

    for (uint64_t number = 0; number < busy->messages; number++)
        work(busy->worker, 64, number);
    return NULL;
}

static void share_the_plane(int leading)
{
    static struct scene scene;
    enum { MESSAGES = 3000 };
    pthread_t threads[4];
    struct busy busy[4];
    uint64_t taken = 0;

    open_scene(&scene, 4, 1 << 26);
    if (leading)
        lead(&scene);
    for (int i = 0; i < 4; i++) {
        busy[i] = (struct busy){&scene.workers[i], MESSAGES};
        CHECK_INT(0, pthread_create(&threads[i], NULL,
                                    i == 0 ? send_many : work_many, &busy[i]));
    }
    while (items(&scene) > 0 || taken++ < 1000)
        CHECK(next_record(&scene, leading) == NULL);
    for (int i = 0; i < 4; i++)
        CHECK_INT(0, pthread_join(threads[i], NULL));
    await_idle(&scene);
    close_scene(&scene);
}

TEST(many_threads_share_the_plane)
{
    share_the_plane(0);
}

TEST(many_threads_share_the_plane_with_an_owner_who_comes_and_goes)
{
    share_the_plane(1);
}

TEST(an_owner_who_waits_moves_the_frames)
{
    static struct scene scene;
    struct frame frame;

    make_scene(&scene, 2, 1 << 20); /* nobody else moves them */
    lead(&scene);
    connect_workers(&scene);
    publish(&scene.workers[0], "a/b", 64, 7);
    CHECK(next_record(&scene, 1) == NULL);
    frame = receive(&scene.workers[1]);
    CHECK(gg_is_filled(frame.payload, 64, 7));
    free(frame.payload);
    gg_plane_stop(scene.plane);
    CHECK_INT(GG_IS_NOT_LED, gg_plane_wait(scene.plane, scene.set, -1));
    close_scene(&scene);
}

/* Wait, as soon as the thread lets the owner have the rounds. */
static int wait_leading(struct scene *scene)
{
    int64_t until = shortly();
    int found;

    do {
        CHECK(gg_clock() < until);
        found = gg_plane_wait(scene->plane, scene->set, -1);
    } while (found == GG_IS_NOT_LED);
    return found;
}

TEST(who_waits_hears_of_its_own_set_of_news_and_of_the_time)
{
    static struct scene scene;
    struct epoll_event event = {.events = EPOLLIN};
    int bell = eventfd(0, EFD_CLOEXEC);

    open_scene(&scene, 1, 1 << 20);
    lead(&scene);
    CHECK_INT(0, epoll_ctl(scene.set, EPOLL_CTL_ADD, bell, &event));
    CHECK_INT(GG_IS_NOT_LED, gg_plane_wait(scene.plane, scene.set, 0));
    CHECK_INT(0, gg_plane_wait(scene.plane, scene.set, 1000));
    CHECK_INT(GG_OK, send_as(&scene.workers[0], GG_CONTROL, 5, "", "hi", 2));
    for (int times = 0; times < 2; times++) /* once is not enough to forget */
        CHECK(wait_leading(&scene) != 0);
    CHECK_INT(5, expect(&scene, GG_CONTROL_FRAME)->id);
    gg_event_ring(bell);
    for (int times = 0; times < 2; times++)
        CHECK_INT(GG_IS_READY, wait_leading(&scene));
    close_scene(&scene);
    CHECK_INT(0, close(bell));
}

TEST(an_owner_who_is_woken_by_its_own_set_leaves_the_rounds_to_the_thread)
{
    static struct scene scene;
    struct epoll_event event = {.events = EPOLLIN};
    int bell = eventfd(1, EFD_CLOEXEC);
    int64_t until = shortly();
    int set;

    open_scene(&scene, 1, 1 << 20);
    lead(&scene);
    CHECK_INT(0, epoll_ctl(scene.set, EPOLL_CTL_ADD, bell, &event));
    for (int times = 0; times < 20; times++)
        (void)gg_plane_wait(scene.plane, scene.set, -1);
    CHECK_INT(GG_IS_NOT_LED, gg_plane_wait(scene.plane, scene.set, -1));
    set = scene.set;
    scene.set = 0;
    for (uint64_t number = 0; number < 10; number++) {
        CHECK_INT(GG_OK, send_as(&scene.workers[0], GG_CONTROL, number, "",
                                 "hi", 2));
        CHECK_INT(number, expect(&scene, GG_CONTROL_FRAME)->id);
    }
    scene.set = set;
    while (gg_plane_wait(scene.plane, set, -1) == GG_IS_NOT_LED)
        CHECK(gg_clock() < until); /* the thread may hold them for a while */
    close_scene(&scene);
    CHECK_INT(0, close(bell));
}

TEST(the_thread_moves_the_frames_while_the_owner_is_away)
{
    static struct scene scene;

    open_scene(&scene, 2, 1 << 20);
    lead(&scene);
    for (uint64_t number = 0; number < 20; number++) {
        CHECK(next_record(&scene, 1) == NULL); /* it leads */
        publish(&scene.workers[0], "a/b", 64, number);
        work(&scene.workers[1], 64, number); /* it is away */
        await_idle(&scene);
    }
    CHECK_INT(GG_OK, send_as(&scene.workers[0], GG_CONTROL, 5, "", "hi", 2));
    CHECK_INT(0, close(scene.set));
    scene.set = 0; /* and told by the descriptor that there are news */
    CHECK_INT(5, expect(&scene, GG_CONTROL_FRAME)->id);
    close_scene(&scene);
}

TEST(a_deadline_wakes_an_owner_who_waits)
{
    static struct scene scene;

    open_scene(&scene, 2, 1 << 20);
    lead(&scene);
    CHECK_INT(GG_OK, send_as(&scene.workers[0], GG_INVOKE, 1, "2", "x", 1));
    CHECK_INT(12, expect(&scene, GG_RETIRE_WORKER)->peer); /* took too long */
    close_scene(&scene);
}

TEST(a_plane_can_be_stopped_before_it_runs)
{
    struct gg_plane_options options = {.inbox_bytes = 1};
    struct gg_plane *plane = NULL;

    CHECK_INT(GG_OK, gg_plane_new(&options, &plane));
    CHECK_INT(GG_OK, gg_plane_open(plane));
    gg_plane_stop(plane);
    gg_plane_run(plane);
    gg_plane_free(plane);
}
