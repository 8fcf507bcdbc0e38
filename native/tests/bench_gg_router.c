/* SPDX-License-Identifier: Apache-2.0 */
/* What the router machine itself costs, one thread, no transport: a message of
 * 64 bytes published, matched, and its output read in place. JSON, nanoseconds
 * a message, the median of ROUNDS. `make bench-router`. */
#include "gg/router.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 9, MESSAGES = 200000, FILTERS = 1000, TOPICS = 10000 };
enum { SOURCE = 1, FUNCTION = 2, CLIENT = 3, WORKER = 10, READER = 20 };

static void must(int condition)
{
    if (!condition)
        abort();
}

static double seconds(void)
{
    struct timespec now;

    must(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

struct scene {
    struct gg_router *router;
    void *index;
    char topics[TOPICS][64]; /* shuffled */
    uint32_t topic_count;
    uint64_t last_id;
};

static void receive(struct scene *scene, uint32_t peer, uint8_t kind,
                    uint32_t endpoint, uint64_t id, const uint8_t *data,
                    size_t topic, size_t payload)
{
    struct gg_frame frame = {.id = id,
                             .context = topic,
                             .payload = topic,
                             .end = topic + payload,
                             .endpoint = endpoint,
                             .kind = kind};

    must(gg_router_receive(scene->router, peer, data, &frame, 1.0) == GG_OK);
}

static uint64_t take_all(struct scene *scene)
{
    const struct gg_output *output;
    uint64_t sum = 0;

    while ((output = gg_router_output(scene->router)) != NULL) {
        if (output->id != 0)
            scene->last_id = output->id;
        sum += output->payload.size;
        gg_router_taken(scene->router);
    }
    return sum;
}

/* `filters` rows of eight levels, each the filter of one topic; one wildcard
 * in each of them when there are many. */
static void install(struct scene *scene, uint32_t filters, uint32_t target)
{
    struct gg_subscription *table = calloc(filters, sizeof *table);
    struct gg_route *routes = calloc(filters, sizeof *routes);
    char *text = calloc(filters, 64);
    const struct gg_index *index = NULL;
    uint32_t used = 0;
    size_t size = 0;

    must(table && routes && text);
    for (uint32_t i = 0; i < filters; i++) {
        table[i].source = SOURCE;
        table[i].row = i;
        table[i].filter = used;
        table[i].filter_size = (uint32_t)snprintf(
            text + used, 64, "site/%u/line/%u/cell/+/value/now", i / 32,
            i % 32);
        used += table[i].filter_size;
        routes[i].target = target;
    }
    must(gg_index_size(table, filters, (uint8_t *)text, used, &size) == GG_OK);
    scene->index = malloc(size);
    must(gg_index_init(scene->index, size, table, filters, (uint8_t *)text,
                       used, &index) == GG_OK);
    must(gg_router_install(scene->router, index, filters, routes, filters,
                           (uint8_t *)text, used) == GG_OK);
    for (uint32_t i = 0; i < scene->topic_count; i++) {
        uint32_t row = (i * 7919u) % filters;

        (void)snprintf(scene->topics[i], 64,
                       "site/%u/line/%u/cell/%u/value/now", row / 32, row % 32,
                       i);
    }
    free(table);
    free(routes);
    free(text);
}

static void begin(struct scene *scene, uint32_t filters, uint32_t topics,
                  uint32_t target)
{
    struct gg_router_options options = {.work_items = 1024,
                                        .topic_payload_bytes = 131072,
                                        .invoke_payload_bytes = 6291456};
    struct gg_rules rules = {3.0, 60.0, 1024, 67108864, 1, 1, 0, 0};

    memset(scene, 0, sizeof *scene);
    scene->topic_count = topics;
    must(gg_router_new(&options, &scene->router) == GG_OK);
    must(gg_router_define_peer(scene->router, SOURCE, 0, 0) == GG_OK);
    must(gg_router_define_peer(scene->router, CLIENT, 8, 4096) == GG_OK);
    must(gg_router_define_function(scene->router, FUNCTION, &rules,
                                   (const uint8_t *)"f", 1) == GG_OK);
    must(gg_router_attach(scene->router, 5, SOURCE) == GG_OK);
    must(gg_router_attach(scene->router, READER, CLIENT) == GG_OK);
    must(gg_router_attach_worker(scene->router, WORKER, FUNCTION, 0) == GG_OK);
    receive(scene, WORKER, GG_READY, FUNCTION, 0, (const uint8_t *)"", 0, 0);
    install(scene, filters, target);
    (void)take_all(scene);
}

static int compare(const void *one, const void *other)
{
    double difference = *(const double *)one - *(const double *)other;

    return (difference > 0) - (difference < 0);
}

static double measure(uint32_t filters, uint32_t topics, uint32_t target)
{
    static struct scene scene;
    double rounds[ROUNDS];
    uint8_t data[128];

    begin(&scene, filters, topics, target);
    memset(data, 'x', sizeof data);
    for (int round = 0; round < ROUNDS; round++) {
        double start = seconds();

        for (uint32_t i = 0; i < MESSAGES; i++) {
            const char *topic = scene.topics[i % topics];
            size_t size = strlen(topic);

            memcpy(data, topic, size);
            receive(&scene, 5, GG_PUBLISH, SOURCE, 0, data, size, 64);
            must(take_all(&scene) == 64);
            if (target == FUNCTION)
                receive(&scene, WORKER, GG_RESULT, FUNCTION, scene.last_id,
                        data, 0, 0);
        }
        rounds[round] = (seconds() - start) / MESSAGES * 1e9;
    }
    gg_router_free(scene.router);
    free(scene.index);
    qsort(rounds, ROUNDS, sizeof rounds[0], compare);
    return rounds[ROUNDS / 2];
}

int main(void)
{
    double client = measure(1, 1, CLIENT);
    double function = measure(1, 1, FUNCTION);
    double one = measure(1, TOPICS, CLIENT);
    double many = measure(FILTERS, TOPICS, CLIENT);

    printf("{\"client_ns\": %.0f, \"function_and_result_ns\": %.0f, "
           "\"one_filter_ns\": %.0f, \"thousand_filters_ns\": %.0f}\n",
           client, function, one, many);
    return 0;
}
