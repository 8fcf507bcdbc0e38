/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations with the router, and what becomes of it when memory runs out.
 * That it decides as the Python machine does is proven in
 * tests/stateful/test_router_twins.py. */
#include "gg/router.h"
#include "gg_purse.h"
#include "gg_test.h"

#include <math.h>
#include <string.h>

enum { PINNED = 1, DEMAND = 2, CLIENT = 3, CLOUD = 4, CLOSED = 5 };
enum { ALL = 1, ANSWER = 2, EVENT = 1, FAILED = 1 };
enum { ROOM = 1 << 16 };

struct bench {
    struct gg_purse purse;
    struct gg_memory memory;
    struct gg_router *router;
    void *index;
    double now;
    uint64_t digest; /* of all outputs and statuses so far */
    uint64_t outputs;
    long refused; /* calls that had to be repeated: no memory */
};

static void mix(struct bench *bench, const void *data, size_t size)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < size; i++)
        bench->digest = (bench->digest ^ bytes[i]) * 1099511628211u;
}

/* Call again while there is no memory: a call that failed changed nothing. */
#define TRY(bench, call)                                                       \
    do {                                                                       \
        int status;                                                            \
        while ((status = (call)) == GG_ENOMEM)                                 \
            (bench)->refused++;                                                \
        mix((bench), &status, sizeof status);                                  \
    } while (0)

static void drain(struct bench *bench)
{
    static uint8_t buffer[ROOM];
    size_t size = 64; /* grows when a record needs it */
    size_t used = 0;
    int left;

    while ((left = gg_router_step(bench->router, bench->now)) == GG_ENOMEM)
        bench->refused++;
    CHECK(left >= 0);
    while (left > 0) {
        left = gg_router_drain(bench->router, buffer, size, &used);
        if (left == GG_ENOSPC) {
            CHECK(used > size && used <= ROOM);
            size = used;
            left = 1;
            continue;
        }
        CHECK(left >= 0);
        for (size_t at = 0; at < used;) {
            struct gg_record record;

            memcpy(&record, buffer + at, sizeof record);
            CHECK(record.size >= sizeof record && record.size <= used - at);
            at += record.size;
            bench->outputs++;
        }
        mix(bench, buffer, used);
    }
}

static void send(struct bench *bench, uint32_t peer, uint8_t kind,
                 uint8_t flags, uint32_t endpoint, uint64_t id,
                 const char *topic, size_t payload)
{
    static uint8_t data[ROOM];
    size_t size = strlen(topic);
    struct gg_frame frame = {.id = id,
                             .context = size,
                             .payload = size,
                             .end = size + payload,
                             .endpoint = endpoint,
                             .kind = kind,
                             .flags = flags};

    memset(data, 'x', sizeof data);
    memcpy(data, topic, size);
    TRY(bench,
        gg_router_receive(bench->router, peer, data, &frame, bench->now));
    drain(bench);
}

static void publish(struct bench *bench, const char *topic, uint8_t flags,
                    size_t payload)
{
    send(bench, GG_CORE, GG_PUBLISH, flags, CLOUD, 9, topic, payload);
}

static void define(struct bench *bench)
{
    struct gg_rules pinned = {3.0, 60.0, 40, 200000, 1, 1, 0, 0};
    struct gg_rules demand = {3.0, 5.0, 4, 1000, 2, 0, 0, 0};
    struct gg_router *router = bench->router;

    TRY(bench, gg_router_define_function(router, PINNED, &pinned,
                                         (const uint8_t *)"pinned", 6));
    TRY(bench, gg_router_define_function(router, DEMAND, &demand,
                                         (const uint8_t *)"demand", 6));
    TRY(bench, gg_router_name_function(router, DEMAND,
                                       (const uint8_t *)"demand:1", 8));
    TRY(bench, gg_router_define_peer(router, CLIENT, 2, 50));
    TRY(bench, gg_router_define_peer(router, CLOSED, 2, 50));
    TRY(bench, gg_router_define_peer(router, CLOUD, 0, 0));
    TRY(bench, gg_router_attach(router, GG_CORE, CLOUD));
}

static void install(struct bench *bench)
{
    static const char text[] = "aa/#bc";
    static const struct gg_subscription table[] = {
        {CLOUD, 0, 0, 1}, {CLOUD, 1, 1, 3}, {CLOUD, 2, 1, 3},
        {CLOUD, 3, 4, 1}, {CLOUD, 4, 5, 1}, {CLOUD, 5, 5, 1},
    };
    static const struct gg_route routes[] = {
        {.target = PINNED, .id = 0, .id_size = 1},
        {.target = DEMAND, .id = 1, .id_size = 1},
        {.target = PINNED, .id = 1, .id_size = 1},
        {.target = CLIENT, .id = 4, .id_size = 1},
        {.target = PINNED, .id = 5, .id_size = 1},
        {.target = CLOSED, .id = 5, .id_size = 1},
    };
    const struct gg_index *index = NULL;
    size_t size = 0;

    CHECK_INT(GG_OK, gg_index_size(table, 6, (const uint8_t *)text, 6, &size));
    bench->index = malloc(size);
    CHECK(bench->index != NULL);
    CHECK_INT(GG_OK, gg_index_init(bench->index, size, table, 6,
                                   (const uint8_t *)text, 6, &index));
    TRY(bench, gg_router_install(bench->router, index, 6, routes, 6,
                                 (const uint8_t *)text, 6));
}

static void begin(struct bench *bench, long fail_at)
{
    struct gg_router_options options = {.epoch = 1.7e9,
                                        .work_items = 60,
                                        .topic_payload_bytes = 30000,
                                        .invoke_payload_bytes = 200,
                                        .strict = 1};

    memset(bench, 0, sizeof *bench);
    bench->digest = 14695981039346656037u;
    bench->purse.fail_at = fail_at;
    bench->memory.resize = gg_purse_resize;
    bench->memory.context = &bench->purse;
    options.memory = &bench->memory;
    TRY(bench, gg_router_new(&options, &bench->router));
    define(bench);
    install(bench);
}

static void end(struct bench *bench)
{
    gg_router_free(bench->router);
    free(bench->index);
    CHECK_INT(0, bench->purse.held);
}

static void at(struct bench *bench, double now)
{
    bench->now = now;
    drain(bench);
}

/* Each part of the conversation ends where the next one may begin. */

static void talk_to_pinned(struct bench *bench)
{
    struct gg_router *router = bench->router;

    publish(bench, "a", 0, 10);
    TRY(bench, gg_router_attach_worker(router, 11, PINNED, bench->now));
    send(bench, 11, GG_READY, 0, PINNED, 0, "", 0);
    send(bench, 11, GG_RESULT, 0, PINNED, 1, "", 0);
    for (int i = 0; i < 36; i++) /* sent ahead, then kept */
        publish(bench, "a", 0, 3000);
    publish(bench, "a", ALL | ANSWER, 3000);
    for (uint64_t id = 2; id < 20; id++)
        send(bench, 11, GG_RESULT, id % 3 == 0, PINNED, id, "", 300 * (id % 2));
    send(bench, 11, GG_INVOKE, 0, PINNED, 5, "pinned", 3);
    send(bench, 11, GG_INVOKE, EVENT, PINNED, 6, "demand:1", 3);
    send(bench, 11, GG_INVOKE, 0, PINNED, 7, "nobody\xff", 3);
    TRY(bench,
        gg_router_detach(router, 11, (const uint8_t *)"died", 4, bench->now));
    at(bench, bench->now + 61); /* the call was never started */
}

/* A pinned function does not start, and says why to who calls it. */
static void talk_of_failure(struct bench *bench)
{
    static const char document[] =
        "{\"errorMessage\": \"\\ud83d\\ude00 no\", \"n\": [1, {}, -2.5]}";
    struct gg_frame frame = {.end = sizeof document - 1,
                             .endpoint = PINNED,
                             .kind = GG_READY,
                             .flags = FAILED};

    TRY(bench, gg_router_attach_worker(bench->router, 12, PINNED, bench->now));
    TRY(bench, gg_router_receive(bench->router, 12, (const uint8_t *)document,
                                 &frame, bench->now));
    send(bench, GG_CORE, GG_INVOKE, 0, CLOUD, 8, "pinned", 20);
    at(bench, bench->now + 61);
}

static void talk_on_demand(struct bench *bench)
{
    struct gg_router *router = bench->router;

    gg_router_tap(router, 1);
    for (int i = 0; i < 5; i++)
        send(bench, GG_CORE, GG_INVOKE, 0, CLOUD, 7, "demand", 20);
    TRY(bench, gg_router_attach_worker(router, 21, DEMAND, bench->now));
    TRY(bench, gg_router_attach_worker(router, 22, DEMAND, bench->now));
    send(bench, 21, GG_READY, 0, DEMAND, 0, "", 0);
    send(bench, 22, GG_READY, FAILED, DEMAND, 0, "", 201);
    at(bench, bench->now + 3); /* too long */
    at(bench, bench->now + 3); /* does not exit */
    TRY(bench, gg_router_worker_failed(router, DEMAND, (const uint8_t *)"{}", 2,
                                       bench->now));
    drain(bench);
    TRY(bench, gg_router_attach_worker(router, 23, DEMAND, bench->now));
    send(bench, 23, GG_READY, 0, DEMAND, 0, "", 0);
    at(bench, bench->now + 6); /* idle, or too long again */
    TRY(bench, gg_router_attach_worker(router, 24, DEMAND, bench->now));
    at(bench, bench->now + 11); /* an import that does not end */
    TRY(bench, gg_router_detach(router, 21, NULL, 0, bench->now));
    gg_router_tap(router, 0);
}

static void talk_to_clients(struct bench *bench)
{
    struct gg_router *router = bench->router;

    publish(bench, "b", ANSWER, 10);
    TRY(bench, gg_router_attach(router, 31, CLIENT));
    TRY(bench, gg_router_attach(router, 31, CLOSED));
    publish(bench, "b", ANSWER, 10);
    TRY(bench, gg_router_hold(router, 31, 1));
    for (int i = 0; i < 3; i++)
        publish(bench, "b", ANSWER, 10);
    TRY(bench, gg_router_hold(router, 31, 0));
    drain(bench);
    gg_router_close(router, 31);
    publish(bench, "c", ALL | ANSWER, 10);
    TRY(bench, gg_router_attach(router, 32, CLIENT));
    send(bench, 32, GG_PUBLISH, ANSWER, CLIENT, 1, "wild/+", 1);
    send(bench, 32, GG_PUBLISH, ANSWER, CLIENT, 1, "\xc3", 1);
    send(bench, 32, GG_PUBLISH, 0, CLIENT, 1, "#", 1);
    TRY(bench,
        gg_router_cut(router, 33, (const uint8_t *)"wrote noise", 11, 0));
    drain(bench);
}

static void talk_of_nothing(struct bench *bench)
{
    char topic[32];

    for (int i = 0; i < 1100; i += 50) { /* strict, and most are new */
        (void)snprintf(topic, sizeof topic, "nowhere/%04d", i);
        publish(bench, topic, ANSWER, 1);
    }
    publish(bench, "nowhere/0000", ANSWER, 1);
    gg_router_stop(bench->router);
    send(bench, GG_CORE, GG_INVOKE, 0, CLOUD, 7, "demand", 20);
    send(bench, GG_CORE, GG_READY, 0, CLOUD, 0, "", 0);
}

static void talk(struct bench *bench)
{
    talk_to_pinned(bench);
    talk_of_failure(bench);
    talk_on_demand(bench);
    talk_to_clients(bench);
    talk_of_nothing(bench);
}

TEST(a_conversation_leaves_nothing_behind)
{
    struct gg_router_counts counts;
    struct bench bench;

    begin(&bench, 0);
    talk(&bench);
    gg_router_counts(bench.router, &counts);
    CHECK(bench.outputs > 120);
    CHECK(counts.items <= 40);
    CHECK(counts.unrouted > 20);
    end(&bench);
}

TEST(memory_that_runs_out_anywhere_changes_nothing)
{
    struct bench whole;
    struct bench bench;
    long allocations;
    long refused = 0;

    begin(&whole, 0);
    talk(&whole);
    allocations = whole.purse.taken;
    for (long fail_at = 1; fail_at <= allocations; fail_at++) {
        begin(&bench, fail_at);
        talk(&bench);
        CHECK_INT(1, bench.refused);
        CHECK(whole.outputs == bench.outputs);
        CHECK(whole.digest == bench.digest);
        refused += bench.refused;
        end(&bench);
    }
    CHECK_INT(allocations, refused);
    end(&whole);
}

TEST(a_router_is_freed_in_the_middle_of_everything)
{
    struct bench bench;

    begin(&bench, 0);
    publish(&bench, "a", 0, 10);
    CHECK_INT(GG_OK, gg_router_attach_worker(bench.router, 11, PINNED, 0));
    send(&bench, 11, GG_READY, 0, PINNED, 0, "", 0);
    send(&bench, 11, GG_INVOKE, 0, PINNED, 1, "demand", 3);
    CHECK_INT(GG_OK, gg_router_attach(bench.router, 31, CLIENT));
    CHECK_INT(GG_OK, gg_router_hold(bench.router, 31, 1));
    publish(&bench, "b", 0, 10);
    bench.now = 3.5; /* outputs that nobody takes */
    CHECK(gg_router_step(bench.router, bench.now) > 0);
    end(&bench);
}

TEST(outputs_are_read_in_place_as_well)
{
    const struct gg_output *output;
    struct bench bench;

    begin(&bench, 0);
    CHECK(gg_router_output(bench.router) == NULL);
    CHECK_INT(GG_OK, gg_router_attach(bench.router, 31, CLIENT));
    bench.now = 1;
    {
        struct gg_frame frame = {.context = 1,
                                 .payload = 1,
                                 .end = 3,
                                 .endpoint = CLOUD,
                                 .kind = GG_PUBLISH};

        CHECK_INT(GG_OK, gg_router_receive(bench.router, GG_CORE,
                                           (const uint8_t *)"bxy", &frame, 1));
    }
    output = gg_router_output(bench.router);
    CHECK(output != NULL);
    CHECK_INT(GG_SEND, output->type);
    CHECK_INT(31, output->peer);
    CHECK_INT(GG_MESSAGE, output->kind);
    CHECK_INT(1, output->topic.size);
    CHECK(memcmp("xy", output->payload.at, 2) == 0);
    gg_router_taken(bench.router);
    gg_router_taken(bench.router); /* there is no other; nothing happens */
    CHECK(gg_router_output(bench.router) == NULL);
    end(&bench);
}

TEST(arguments_of_a_careless_caller_are_refused)
{
    struct gg_rules rules = {NAN, 1.0, 1, 1, 1, 1, 0, 0};
    struct gg_frame frame = {.topic = 2, .context = 1, .kind = GG_PUBLISH};
    const uint8_t *name = (const uint8_t *)"f";
    struct bench bench;
    struct gg_router *router;
    uint8_t small[8];
    size_t needed = 0;

    begin(&bench, 0);
    router = bench.router;
    CHECK_INT(GG_EINVAL, gg_router_define_function(router, 9, &rules, name, 1));
    rules.timeout_s = -1.0;
    CHECK_INT(GG_EINVAL, gg_router_define_function(router, 9, &rules, name, 1));
    CHECK_INT(GG_EENDPOINT, gg_router_name_function(router, 9, name, 1));
    CHECK_INT(GG_EINVAL, gg_router_name_function(router, CLIENT, name, 1));
    CHECK_INT(GG_EENDPOINT, gg_router_attach(router, 50, 9));
    CHECK_INT(GG_EENDPOINT, gg_router_attach_worker(router, 50, 9, 0));
    CHECK_INT(GG_EINVAL, gg_router_attach_worker(router, 50, CLIENT, 0));
    CHECK_INT(GG_OK, gg_router_attach_worker(router, 50, PINNED, 0));
    CHECK_INT(GG_EINVAL, gg_router_attach_worker(router, 50, PINNED, 0));
    CHECK_INT(GG_EINVAL, gg_router_define_peer(router, PINNED, 1, 1));
    CHECK_INT(GG_EINVAL, gg_router_receive(router, GG_CORE, small, &frame, 0));
    frame.context = frame.payload = frame.end = 515;
    CHECK_INT(GG_ETOPIC, gg_router_receive(router, GG_CORE, small, &frame, 0));
    CHECK_INT(GG_EENDPOINT,
              gg_router_snapshot(router, 9, small, sizeof small, &needed));
    CHECK_INT(GG_ENOSPC,
              gg_router_snapshot(router, PINNED, small, sizeof small, &needed));
    CHECK_INT(sizeof(struct gg_target_state) + sizeof(struct gg_worker_state),
              needed);
    end(&bench);
}

TEST(an_endpoint_without_work_may_be_defined_anew)
{
    struct gg_rules rules = {1.0, 1.0, 1, 1000, 1, 0, 0, 0};
    struct gg_router_counts counts;
    struct bench bench;

    begin(&bench, 0);
    for (int i = 0; i < 1000; i++) {
        CHECK_INT(GG_OK, gg_router_define_function(bench.router, DEMAND, &rules,
                                                   (const uint8_t *)"d", 1));
        CHECK_INT(GG_OK, gg_router_define_peer(bench.router, CLIENT, 1, 1));
    }
    gg_router_counts(bench.router, &counts);
    CHECK_INT(0, counts.timers);
    end(&bench);
}

/* A worker that is idle for long and runs for short leaves one dead timer
 * behind each time; they are dropped when they get many. */
TEST(dead_timers_do_not_pile_up)
{
    struct gg_rules rules = {0.1, 86400.0, 4, 1000, 2, 0, 0, 0};
    struct gg_router_counts counts;
    struct bench bench;

    begin(&bench, 0);
    CHECK_INT(GG_OK, gg_router_define_function(bench.router, DEMAND, &rules,
                                               (const uint8_t *)"d", 1));
    CHECK_INT(GG_OK, gg_router_attach_worker(bench.router, 21, DEMAND, 0));
    send(&bench, 21, GG_READY, 0, DEMAND, 0, "", 0);
    for (uint64_t id = 1; id <= 5000; id++) {
        send(&bench, GG_CORE, GG_INVOKE, 0, CLOUD, 7, "d", 1);
        send(&bench, 21, GG_RESULT, 0, DEMAND, id, "", 1);
        at(&bench, bench.now + 0.2);
        gg_router_counts(bench.router, &counts);
        CHECK(counts.timers < 1000);
    }
    CHECK(gg_router_next_deadline(bench.router) <= bench.now + 86400.0);
    CHECK_INT(0, counts.items);
    end(&bench);
}

TEST(ten_thousand_lives_of_workers_leave_nothing_behind)
{
    struct gg_router_counts counts;
    struct bench bench;

    begin(&bench, 0);
    for (uint32_t i = 0; i < 10000; i++) {
        CHECK_INT(GG_OK, gg_router_attach_worker(bench.router, 100 + i, DEMAND,
                                                 bench.now));
        send(&bench, 100 + i, GG_READY, 0, DEMAND, 0, "", 0);
        CHECK_INT(GG_OK,
                  gg_router_detach(bench.router, 100 + i, NULL, 0, bench.now));
        drain(&bench);
        bench.now += 0.001;
    }
    gg_router_counts(bench.router, &counts);
    CHECK_INT(1, counts.peers);
    CHECK(counts.timers < 1000);
    CHECK(bench.purse.held < 1000);
    end(&bench);
}
