/* SPDX-License-Identifier: Apache-2.0 */
/* What exists and where messages go; and what status and tests may see. */
#include "gg/router_parts.h"

#include <math.h>
#include <string.h>

struct gg_function *gg_function_of(struct gg_target *target)
{
    return GG_OF(target, struct gg_function, target);
}

struct gg_peer_target *gg_peer_target_of(struct gg_target *target)
{
    return GG_OF(target, struct gg_peer_target, target);
}

/* Birth and death. */

int gg_router_new(const struct gg_router_options *options,
                  struct gg_router **router)
{
    struct gg_memory memory =
        options->memory == NULL ? gg_memory_default() : *options->memory;
    struct gg_router *made = gg_memory_take(&memory, sizeof *made);
    struct gg_peer *core = gg_peer_new(&memory, GG_CORE);

    if (made != NULL) {
        memset(made, 0, sizeof *made);
        made->reports =
            gg_memory_take(&memory, GG_REMEMBERED * sizeof *made->reports);
    }
    if (made == NULL || core == NULL || made->reports == NULL ||
        gg_table_reserve(&memory, &made->peers) != GG_OK) {
        if (made != NULL)
            gg_memory_free(&memory, made->reports);
        gg_memory_free(&memory, made);
        gg_memory_free(&memory, core);
        return GG_ENOMEM;
    }
    memset(made->reports, 0, GG_REMEMBERED * sizeof *made->reports);
    gg_table_put(&made->peers, GG_CORE, NULL, core);
    made->memory = memory;
    made->topic_payload_bytes = options->topic_payload_bytes;
    made->strict = options->strict;
    made->work.memory = &made->memory;
    made->work.limit = options->work_items;
    made->work.payload_bytes = options->invoke_payload_bytes;
    made->work.epoch = options->epoch;
    memcpy(made->work.boot, options->boot, sizeof made->work.boot);
    *router = made;
    return GG_OK;
}

static void clear_routes(const struct gg_memory *memory,
                         struct gg_routes *routes)
{
    gg_memory_free(memory, routes->rows);
    gg_memory_free(memory, routes->chosen);
    gg_memory_free(memory, routes->counted);
    gg_memory_free(memory, routes->found);
    gg_memory_free(memory, routes->text);
    memset(routes, 0, sizeof *routes);
}

static void forget_reports(struct gg_router *router)
{
    for (size_t i = 0; i < GG_REMEMBERED; i++)
        gg_blob_drop(&router->memory, router->reports[i].topic);
    memset(router->reports, 0, GG_REMEMBERED * sizeof *router->reports);
    router->report_next = 0;
    gg_table_clear(&router->memory, &router->reported);
}

static void drop_items(const struct gg_memory *memory, struct gg_list *items)
{
    while (items->first != NULL) {
        struct gg_item *item = GG_OF(items->first, struct gg_item, place);

        gg_list_remove(items, &item->place);
        gg_item_drop(memory, item);
    }
}

/* Free a target; a function has no workers any more. */
static void free_target(struct gg_router *router, struct gg_target *target)
{
    const struct gg_memory *memory = &router->memory;

    if (target->is_function) {
        struct gg_function *function = gg_function_of(target);

        drop_items(memory, &function->waiting);
        gg_blob_drop(memory, function->name);
        gg_blob_drop(memory, function->last_failure);
        memset(&function->calls, 0, sizeof function->calls);
        gg_timers_retire(memory, &router->work.timers, &function->timer);
    } else {
        gg_peer_target_disconnect(memory, gg_peer_target_of(target));
        gg_memory_free(memory, gg_peer_target_of(target));
    }
}

static void free_peer(struct gg_router *router, struct gg_peer *peer)
{
    struct gg_worker *worker = peer->worker;

    if (worker != NULL) {
        drop_items(&router->memory, &worker->sent);
        gg_timers_retire(&router->memory, &router->work.timers, &worker->timer);
    }
    gg_peer_drop(&router->memory, peer);
}

void gg_router_free(struct gg_router *router)
{
    struct gg_memory memory;

    if (router == NULL)
        return;
    memory = router->memory;
    gg_outputs_clear(&memory, &router->work.outputs);
    for (size_t i = 0; i <= router->peers.mask; i++)
        if (router->peers.slots[i].used)
            free_peer(router, router->peers.slots[i].value);
    if (router->targets.slots != NULL)
        for (size_t i = 0; i <= router->targets.mask; i++)
            if (router->targets.slots[i].used)
                free_target(router, router->targets.slots[i].value);
    gg_timers_clear(&memory, &router->work.timers);
    clear_routes(&memory, &router->routes);
    forget_reports(router);
    gg_memory_free(&memory, router->reports);
    gg_table_clear(&memory, &router->peers);
    gg_table_clear(&memory, &router->targets);
    gg_table_clear(&memory, &router->names);
    gg_blob_drop(&memory, router->fault);
    gg_memory_free(&memory, router);
}

/* Endpoints. */

/* Whether an endpoint may be defined (again); makes room for it. */
static int may_define(struct gg_router *router, uint32_t endpoint)
{
    struct gg_target *old = gg_table_get(&router->targets, endpoint);

    if (old != NULL && old->is_function &&
        (gg_function_of(old)->items > 0 ||
         gg_function_of(old)->workers.count > 0))
        return GG_EINVAL;
    return gg_table_reserve(&router->memory, &router->targets);
}

static void put_target(struct gg_router *router, struct gg_target *target)
{
    struct gg_target *old = gg_table_get(&router->targets, target->endpoint);

    gg_table_put(&router->targets, target->endpoint, NULL, target);
    if (old != NULL)
        free_target(router, old);
}

static int put_name(struct gg_router *router, uint32_t endpoint,
                    struct gg_blob *name)
{
    if (name == NULL ||
        gg_table_reserve(&router->memory, &router->names) != GG_OK)
        return GG_ENOMEM;
    gg_table_put(&router->names, 0, name, (void *)(uintptr_t)endpoint);
    return GG_OK;
}

static int is_duration(double seconds)
{
    return isfinite(seconds) && seconds >= 0;
}

int gg_router_define_function(struct gg_router *router, uint32_t endpoint,
                              const struct gg_rules *rules, const uint8_t *name,
                              size_t size)
{
    const struct gg_memory *memory = &router->memory;
    struct gg_function *function;
    int status = may_define(router, endpoint);

    if (status != GG_OK)
        return status;
    if (!is_duration(rules->timeout_s) || !is_duration(rules->idle_s))
        return GG_EINVAL;
    function = gg_memory_take(memory, sizeof *function);
    if (function == NULL)
        return GG_ENOMEM;
    memset(function, 0, sizeof *function);
    function->name = gg_blob_new(memory, name, size);
    if (function->name == NULL ||
        gg_table_reserve(memory, &router->names) != GG_OK ||
        gg_timers_admit(memory, &router->work.timers) != GG_OK) {
        gg_blob_drop(memory, function->name);
        gg_memory_free(memory, function);
        return GG_ENOMEM;
    }
    function->timer.armed_at = GG_NEVER;
    function->timer.deadline = GG_NEVER;
    function->timer.references = 1;
    function->target.endpoint = endpoint;
    function->target.is_function = 1;
    function->rules = *rules;
    (void)put_name(router, endpoint, function->name);
    put_target(router, &function->target);
    return GG_OK;
}

int gg_router_name_function(struct gg_router *router, uint32_t endpoint,
                            const uint8_t *name, size_t size)
{
    const struct gg_target *target = gg_table_get(&router->targets, endpoint);
    struct gg_blob *copy;
    int status;

    if (target == NULL)
        return GG_EENDPOINT;
    if (!target->is_function)
        return GG_EINVAL;
    copy = gg_blob_new(&router->memory, name, size);
    status = put_name(router, endpoint, copy);
    gg_blob_drop(&router->memory, copy);
    return status;
}

int gg_router_define_peer(struct gg_router *router, uint32_t endpoint,
                          uint64_t queue_items, uint64_t queue_bytes)
{
    struct gg_peer_target *target;
    int status = may_define(router, endpoint);

    if (status != GG_OK)
        return status;
    target = gg_memory_take(&router->memory, sizeof *target);
    if (target == NULL)
        return GG_ENOMEM;
    memset(target, 0, sizeof *target);
    target->target.endpoint = endpoint;
    target->queue_items = queue_items;
    target->queue_bytes = queue_bytes;
    put_target(router, &target->target);
    return GG_OK;
}

/* Routes. */

/* Room for `count` things; never none, because none would look like failure. */
static void *take_array(const struct gg_memory *memory, uint32_t count,
                        size_t size)
{
    size_t bytes = (count == 0 ? 1 : (size_t)count) * size;
    void *array = NULL;

    if (bytes / size == (count == 0 ? 1 : count))
        array = gg_memory_take(memory, bytes);
    if (array != NULL)
        memset(array, 0, bytes);
    return array;
}

static void count_on(struct gg_routes *routes, uint32_t number,
                     const struct gg_route *older)
{
    struct gg_row *row = &routes->rows[number];

    row->route.delivered = older->delivered;
    memcpy(row->route.dropped, older->dropped, sizeof older->dropped);
    row->counted = 1;
    routes->counted[routes->counted_count++] = number;
}

/* Hand the counters of the older rows on to those with the same id. */
static int resume_counting(const struct gg_memory *memory,
                           const struct gg_routes *older,
                           struct gg_routes *routes)
{
    struct gg_table ids = {NULL, 0, 0};
    int status = GG_OK;

    for (uint32_t i = 0; i < older->count && status == GG_OK; i++) {
        struct gg_route *route = &older->rows[i].route;
        struct gg_blob *id =
            gg_blob_new(memory, older->text + route->id, route->id_size);

        if (id == NULL || gg_table_reserve(memory, &ids) != GG_OK)
            status = GG_ENOMEM;
        else
            gg_table_put(&ids, 0, id, route);
        gg_blob_drop(memory, id);
    }
    for (uint32_t i = 0; i < routes->count && status == GG_OK; i++) {
        const struct gg_route *route = &routes->rows[i].route;
        const struct gg_bytes id = {routes->text + route->id, route->id_size};
        const struct gg_slot *slot = gg_table_find(&ids, 0, id);

        if (slot != NULL)
            count_on(routes, i, slot->value);
    }
    gg_table_clear(memory, &ids);
    return status;
}

int gg_router_install(struct gg_router *router, const struct gg_index *index,
                      uint32_t capacity, const struct gg_route *routes,
                      uint32_t count, const uint8_t *text, size_t text_size)
{
    const struct gg_memory *memory = &router->memory;
    struct gg_routes made = {
        .index = index,
        .count = count,
        .capacity = capacity,
        .generation = (uint8_t)(router->routes.generation + 1)};

    for (uint32_t i = 0; i < count; i++)
        if (routes[i].id > text_size ||
            routes[i].id_size > text_size - routes[i].id)
            return GG_EINVAL;
    made.rows = take_array(memory, count, sizeof *made.rows);
    made.chosen = take_array(memory, count, sizeof *made.chosen);
    made.counted = take_array(memory, count, sizeof *made.counted);
    made.found = take_array(memory, capacity, sizeof *made.found);
    made.text = gg_memory_take(memory, text_size + 1);
    if (!made.rows || !made.chosen || !made.counted || !made.found ||
        !made.text) {
        clear_routes(memory, &made);
        return GG_ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        made.rows[i].route = routes[i];
        made.rows[i].route.row = i;
    }
    if (text_size > 0)
        memcpy(made.text, text, text_size);
    if (resume_counting(memory, &router->routes, &made) != GG_OK) {
        clear_routes(memory, &made);
        return GG_ENOMEM;
    }
    clear_routes(memory, &router->routes);
    router->routes = made;
    forget_reports(router);
    return GG_OK;
}

int gg_router_counted(struct gg_router *router, struct gg_route *rows,
                      uint32_t capacity)
{
    struct gg_routes *routes = &router->routes;
    uint32_t written = 0;

    while (written < capacity && routes->counted_count > 0) {
        struct gg_row *row =
            &routes->rows[routes->counted[--routes->counted_count]];

        row->counted = 0;
        rows[written++] = row->route;
    }
    return (int)written;
}

void gg_router_stop(struct gg_router *router)
{
    router->work.stopping = 1;
}

void gg_router_tap(struct gg_router *router, int on)
{
    router->work.tap = on != 0;
}

/* What status and tests may see. */

void gg_router_counts(const struct gg_router *router,
                      struct gg_router_counts *counts)
{
    counts->items = router->work.items;
    counts->limit = router->work.limit;
    counts->unrouted = router->unrouted;
    counts->peers = router->peers.used;
    counts->timers = router->work.timers.count;
}

/* Writes what fits and counts all. */
struct writer {
    uint8_t *at;
    size_t size, needed;
};

static void write_to(struct writer *writer, const void *data, size_t size)
{
    if (data != NULL && size > 0 && writer->needed <= writer->size &&
        size <= writer->size - writer->needed)
        memcpy(writer->at + writer->needed, data, size);
    writer->needed += size;
}

static void write_worker(struct writer *writer, const struct gg_worker *worker)
{
    struct gg_worker_state state = {
        .deadline = worker->timer.deadline,
        .last_run_s = worker->last_run_s,
        .sent = worker->sent.count,
        .sent_bytes = worker->sent_bytes,
        .peer = worker->peer->number,
        .state = worker->phase,
    };

    if (worker->sent.first != NULL)
        state.running = GG_OF(worker->sent.first, struct gg_item, place)->id;
    write_to(writer, &state, sizeof state);
}

static void write_function(struct writer *writer, struct gg_function *function)
{
    struct gg_target_state state = {
        .items = function->items,
        .waiting = function->waiting.count,
        .waiting_bytes = function->waiting_bytes,
        .refused = function->refused,
        .workers = function->workers.count,
        .starting = (int64_t)function->starting,
        .idle = function->idle.count,
        .calls = function->calls.count,
        .is_function = 1,
    };

    if (function->last_failure != NULL)
        state.failure = (uint32_t)function->last_failure->size;
    memcpy(state.outcomes, function->outcomes, sizeof state.outcomes);
    memcpy(state.waits, function->waits, sizeof state.waits);
    write_to(writer, &state, sizeof state);
    for (struct gg_node *at = function->workers.first; at; at = at->after)
        write_worker(writer, GG_OF(at, struct gg_worker, among));
    for (struct gg_node *at = function->waiting.first; at; at = at->after) {
        const struct gg_item *item = GG_OF(at, struct gg_item, place);
        struct gg_item_state line = {item->id, gg_item_size(item), item->kind,
                                     item->source};

        write_to(writer, &line, sizeof line);
    }
    write_to(writer,
             function->last_failure == NULL ? NULL
                                            : function->last_failure->bytes,
             state.failure);
}

static void write_peer_target(struct writer *writer,
                              const struct gg_peer_target *target)
{
    struct gg_target_state state = {
        .waiting = target->kept.count,
        .waiting_bytes = target->kept_bytes,
        .peer = target->peer == NULL ? 0 : target->peer->number,
        .connected = target->peer != NULL,
    };

    write_to(writer, &state, sizeof state);
    for (struct gg_node *at = target->kept.first; at; at = at->after) {
        const struct gg_item *item = GG_OF(at, struct gg_item, place);
        uint32_t topic = (uint32_t)item->topic;
        uint32_t payload = /* what lies elsewhere is not shown */
            item->blob->content == NULL ? (uint32_t)item->payload : 0;

        write_to(writer, &topic, sizeof topic);
        write_to(writer, item->blob->bytes, topic);
        write_to(writer, &payload, sizeof payload);
        write_to(writer, item->blob->bytes + topic, payload);
    }
}

int gg_router_snapshot(const struct gg_router *router, uint32_t endpoint,
                       uint8_t *buffer, size_t size, size_t *needed)
{
    struct writer writer = {buffer, size, 0};
    struct gg_target *target = gg_table_get(&router->targets, endpoint);

    if (target == NULL)
        return GG_EENDPOINT;
    if (target->is_function)
        write_function(&writer, gg_function_of(target));
    else
        write_peer_target(&writer, gg_peer_target_of(target));
    *needed = writer.needed;
    return writer.needed > size ? GG_ENOSPC : GG_OK;
}
