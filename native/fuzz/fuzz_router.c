/* SPDX-License-Identifier: Apache-2.0 */
/* The router, driven by commands of a few bytes each, while memory runs out
 * now and then; tests/fuzz/fuzz_router.py reads the same input and compares
 * with the machine in Python. After every command the counts must hold; at the
 * end all memory must be given back. */
#include "../tests/gg_purse.h"
#include "gg/router.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    ENDPOINTS = 6, /* 1 to 3 are functions, the first one pinned; 6: the core */
    FIRST_PEER = 10,
    PEERS = 60,
    SENT = 128,
    ROWS = 8,
    BUFFER = 1 << 18
};

static const char *const TOPICS[] = {
    "a",  "a/b", "b", "$a",      "a/+",          "f1",
    "f2", "f3",  "",  "\xff\"'", "\xc3\xa9\x01", "n"};
static const char *const FILTERS[] = {"a", "a/b", "a/#", "#",
                                      "+", "b",   "+/b", "$a"};

/* What a worker was sent and has not answered. */
struct fifo {
    uint64_t ids[SENT];
    unsigned first, count;
};

struct play {
    const uint8_t *at, *end;
    struct gg_router *router;
    struct gg_purse purse;
    void *index;
    double now;
    unsigned peers; /* numbers used, from FIRST_PEER on */
    struct fifo sent[PEERS + 1];
    uint8_t *buffer;
};

static void require(int condition)
{
    if (!condition)
        abort();
}

static unsigned next(struct play *play)
{
    return play->at < play->end ? *play->at++ : 0;
}

/* A peer that was used, the core, or one that nobody knows. */
static uint32_t next_peer(struct play *play)
{
    unsigned chosen = next(play) % (play->peers + 2);

    return chosen == 0 ? GG_CORE : FIRST_PEER + chosen - 1;
}

static uint32_t new_peer(struct play *play)
{
    if (play->peers < PEERS)
        play->peers++;
    return FIRST_PEER + play->peers - 1;
}

static uint32_t next_endpoint(struct play *play)
{
    return 1 + next(play) % ENDPOINTS;
}

static void check(int status)
{
    require(status == GG_OK || status == GG_ENOMEM || status == GG_ECORE ||
            status == GG_EINVAL || status == GG_EENDPOINT);
}

static void note(struct play *play, const uint8_t *record)
{
    struct gg_record head;
    struct fifo *fifo;

    memcpy(&head, record, sizeof head);
    if (head.type == GG_SEND)
        require(head.size ==
                sizeof head + head.topic + head.context + head.payload);
    if (head.type != GG_SEND || head.peer < FIRST_PEER || head.id == 0 ||
        head.peer >= FIRST_PEER + PEERS ||
        (head.kind != GG_MESSAGE && head.kind != GG_INVOKE))
        return;
    fifo = &play->sent[head.peer - FIRST_PEER];
    if (fifo->count < SENT)
        fifo->ids[(fifo->first + fifo->count++) % SENT] = head.id;
}

static void step(struct play *play)
{
    int left = gg_router_step(play->router, play->now);

    while (left > 0) {
        size_t used = 0;

        left = gg_router_drain(play->router, play->buffer, BUFFER, &used);
        require(left >= 0);
        for (size_t at = 0; at < used;) {
            uint32_t size;

            memcpy(&size, play->buffer + at, sizeof size);
            require(size >= sizeof(struct gg_record) && size <= used - at);
            note(play, play->buffer + at);
            at += size;
        }
    }
}

static void receive(struct play *play, uint32_t peer, struct gg_frame *frame,
                    const char *topic, size_t context, size_t payload)
{
    uint8_t *data = play->buffer;
    size_t size = strlen(topic);

    memset(data, 'x', size + context + payload);
    memcpy(data, topic, size);
    frame->context = size;
    frame->payload = size + context;
    frame->end = size + context + payload;
    check(gg_router_receive(play->router, peer, data, frame, play->now));
}

static void speak(struct play *play, uint8_t kind)
{
    uint32_t peer = next_peer(play);
    struct gg_frame frame = {.kind = kind, .endpoint = next_endpoint(play)};
    unsigned topic;

    frame.flags = (uint8_t)(next(play) % 8);
    topic = next(play) % (sizeof TOPICS / sizeof TOPICS[0]);
    frame.id = next(play);
    if (kind == GG_RESULT && peer >= FIRST_PEER && frame.id < 200) {
        struct fifo *fifo = &play->sent[peer - FIRST_PEER];

        if (fifo->count > 0) {
            frame.id = fifo->ids[fifo->first];
            fifo->first = (fifo->first + 1) % SENT;
            fifo->count--;
        }
    }
    receive(play, peer, &frame, TOPICS[topic], kind == GG_INVOKE ? 3 : 0,
            (size_t)next(play) * 5);
}

static void install(struct play *play)
{
    struct gg_subscription table[ROWS];
    struct gg_route routes[ROWS];
    const struct gg_index *index = NULL;
    uint32_t count = next(play) % (ROWS + 1);
    char text[ROWS * 4];
    uint32_t used = 0;
    size_t size = 0;
    void *memory;

    memset(routes, 0, sizeof routes);
    for (uint32_t i = 0; i < count; i++) {
        const char *filter;

        table[i].source = next_endpoint(play);
        filter = FILTERS[next(play) % 8];
        table[i].row = i;
        table[i].filter = used;
        table[i].filter_size = (uint32_t)strlen(filter);
        memcpy(text + used, filter, table[i].filter_size);
        used += table[i].filter_size;
        routes[i].target = next_endpoint(play);
        routes[i].id = table[i].filter;
        routes[i].id_size = table[i].filter_size;
    }
    require(gg_index_size(table, count, (uint8_t *)text, used, &size) == GG_OK);
    memory = malloc(size);
    require(memory != NULL);
    require(gg_index_init(memory, size, table, count, (uint8_t *)text, used,
                          &index) == GG_OK);
    if (gg_router_install(play->router, index, ROWS, routes, count,
                          (uint8_t *)text, used) == GG_OK) {
        free(play->index);
        play->index = memory;
    } else {
        free(memory);
    }
}

static void leave(struct play *play)
{
    static const uint8_t text[] = "{\"errorMessage\": \"left\"}";
    uint32_t peer = next_peer(play);
    unsigned how = next(play) % 4;

    if (peer == GG_CORE)
        return;
    if (how == 0)
        gg_router_close(play->router, peer);
    else if (how < 3)
        check(gg_router_detach(play->router, peer, text, sizeof text - 1,
                               play->now));
    else
        check(gg_router_cut(play->router, peer, text, sizeof text - 1,
                            play->now));
}

static void command(struct play *play)
{
    struct gg_router *router = play->router;
    uint32_t peer;

    switch (next(play) % 13) {
    case 0:
        speak(play, GG_PUBLISH);
        break;
    case 1:
        speak(play, GG_INVOKE);
        break;
    case 2:
        speak(play, GG_RESULT);
        break;
    case 3:
        speak(play, GG_READY);
        break;
    case 4:
        check(gg_router_attach_worker(router, new_peer(play),
                                      1 + next(play) % 3, play->now));
        break;
    case 5:
        check(gg_router_worker_failed(router, 1 + next(play) % 3,
                                      (const uint8_t *)"no", 2, play->now));
        break;
    case 6:
        peer = next(play) % 2 ? new_peer(play) : next_peer(play);
        check(gg_router_attach(router, peer, next_endpoint(play)));
        break;
    case 7:
        peer = next_peer(play);
        check(gg_router_hold(router, peer, (int)(next(play) % 2)));
        break;
    case 8:
        leave(play);
        break;
    case 9:
        play->now += next(play) * 0.25;
        break;
    case 10:
        install(play);
        break;
    case 11:
        gg_router_tap(router, (int)(next(play) % 2));
        break;
    default:
        play->purse.fail_at = play->purse.taken + (long)(next(play) % 16);
        break;
    }
}

static void define(struct play *play)
{
    struct gg_rules rules = {3.0, 5.0, 40, 10000, 2, 1, 0, 0};

    for (uint32_t endpoint = 1; endpoint <= 3; endpoint++) {
        const char *name = TOPICS[4 + endpoint];

        require(gg_router_define_function(play->router, endpoint, &rules,
                                          (const uint8_t *)name, 2) == GG_OK);
        rules.pinned = 0;
        rules.confidential = endpoint == 2; /* the next one */
    }
    for (uint32_t endpoint = 4; endpoint <= ENDPOINTS; endpoint++)
        require(gg_router_define_peer(play->router, endpoint, 3, 1000) ==
                GG_OK);
    require(gg_router_attach(play->router, GG_CORE, ENDPOINTS) == GG_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct play *play = calloc(1, sizeof *play);
    struct gg_router_options options = {.work_items = 20,
                                        .topic_payload_bytes = 1200,
                                        .invoke_payload_bytes = 1000};
    struct gg_memory memory = {.resize = gg_purse_resize};
    struct gg_router_counts counts;

    require(play != NULL);
    play->buffer = malloc(BUFFER);
    require(play->buffer != NULL);
    memory.context = &play->purse;
    options.memory = &memory;
    play->at = data;
    play->end = data + size;
    options.strict = (uint8_t)(next(play) % 2);
    require(gg_router_new(&options, &play->router) == GG_OK);
    define(play);
    while (play->at < play->end) {
        command(play);
        step(play);
        gg_router_counts(play->router, &counts);
        require(counts.items <= 3 * counts.limit); /* each its share */
        require(counts.peers <= PEERS + 2);
    }
    gg_router_free(play->router);
    require(play->purse.held == 0);
    free(play->index);
    free(play->buffer);
    free(play);
    return 0;
}
