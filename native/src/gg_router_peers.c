/* SPDX-License-Identifier: Apache-2.0 */
/* Who is connected, and how a peer ends. */
#include "gg/router_parts.h"

#include <string.h>

static const struct gg_bytes NOTHING = {NULL, 0};

static struct gg_text text_of(const struct gg_router *router)
{
    return gg_text_new(&router->memory);
}

static int reserve(struct gg_router *router, size_t outputs)
{
    return gg_outputs_reserve(&router->memory, &router->work.outputs, outputs);
}

int gg_router_attach(struct gg_router *router, uint32_t peer, uint32_t endpoint)
{
    const struct gg_memory *memory = &router->memory;
    struct gg_target *target = gg_table_get(&router->targets, endpoint);
    struct gg_peer *known = gg_table_get(&router->peers, peer);
    struct gg_peer *connection = known;

    if (target == NULL)
        return GG_EENDPOINT;
    if (connection == NULL)
        connection = gg_peer_new(memory, peer);
    if (connection == NULL)
        return GG_ENOMEM;
    if (gg_peer_reserve(memory, connection) != GG_OK ||
        gg_table_reserve(memory, &router->peers) != GG_OK) {
        if (known == NULL)
            gg_peer_drop(memory, connection);
        return GG_ENOMEM;
    }
    if (known == NULL)
        gg_table_put(&router->peers, peer, NULL, connection);
    gg_peer_add(connection, endpoint);
    if (!target->is_function) {
        struct gg_peer_target *fed = gg_peer_target_of(target);

        if (fed->peer != connection) {
            gg_peer_target_disconnect(memory, fed);
            fed->peer = gg_peer_keep(connection);
        }
    }
    return GG_OK;
}

int gg_router_attach_worker(struct gg_router *router, uint32_t peer,
                            uint32_t endpoint, double now)
{
    const struct gg_memory *memory = &router->memory;
    struct gg_target *target = gg_table_get(&router->targets, endpoint);
    struct gg_worker *worker;
    struct gg_peer *connection;

    if (target == NULL)
        return GG_EENDPOINT;
    if (!target->is_function || gg_table_get(&router->peers, peer) != NULL)
        return GG_EINVAL;
    worker = gg_memory_take(memory, sizeof *worker);
    connection = gg_peer_new(memory, peer);
    if (worker == NULL || connection == NULL ||
        gg_peer_reserve(memory, connection) != GG_OK ||
        gg_table_reserve(memory, &router->peers) != GG_OK ||
        gg_timers_admit(memory, &router->work.timers) != GG_OK) {
        gg_memory_free(memory, worker);
        gg_peer_drop(memory, connection);
        return GG_ENOMEM;
    }
    memset(worker, 0, sizeof *worker);
    worker->timer.is_worker = 1;
    worker->timer.references = 1;
    worker->timer.deadline = GG_NEVER;
    worker->timer.armed_at = GG_NEVER;
    worker->last_run_s = GG_NEVER;
    worker->peer = connection;
    worker->function = gg_function_of(target);
    connection->worker = worker;
    gg_peer_add(connection, endpoint);
    gg_table_put(&router->peers, peer, NULL, connection);
    gg_work_attach(&router->work, worker, now);
    return GG_OK;
}

int gg_router_worker_failed(struct gg_router *router, uint32_t endpoint,
                            const uint8_t *document, size_t size, double now)
{
    struct gg_target *target = gg_table_get(&router->targets, endpoint);
    struct gg_blob *copy;

    if (target == NULL)
        return GG_EENDPOINT;
    if (!target->is_function)
        return GG_EINVAL;
    if (reserve(router, gg_work_room(gg_function_of(target), 0)) != GG_OK)
        return GG_ENOMEM;
    copy = gg_blob_new(&router->memory, document, size);
    if (copy == NULL)
        return GG_ENOMEM;
    gg_work_failed_to_start(&router->work, gg_function_of(target), copy, now);
    gg_blob_drop(&router->memory, copy);
    return GG_OK;
}

void gg_router_close(struct gg_router *router, uint32_t peer)
{
    struct gg_peer *connection = gg_table_get(&router->peers, peer);

    if (connection == NULL)
        return;
    connection->closed = 1;
    if (connection->worker != NULL)
        gg_work_leave_idle(connection->worker);
}

struct gg_peer_target *gg_router_fed_by(const struct gg_router *router,
                                        const struct gg_peer *peer, uint32_t at)
{
    struct gg_target *target =
        gg_table_get(&router->targets, peer->endpoints[at]);

    if (target == NULL || target->is_function)
        return NULL;
    return gg_peer_target_of(target)->peer == peer ? gg_peer_target_of(target)
                                                   : NULL;
}

/* Outputs that forgetting a peer can make. */
static size_t forget_room(const struct gg_peer *peer)
{
    const struct gg_worker *worker = peer->worker;

    if (worker == NULL)
        return 0;
    return gg_work_room(worker->function, worker->sent.count);
}

static void forget(struct gg_router *router, struct gg_peer *peer,
                   struct gg_blob *document, double now)
{
    const struct gg_memory *memory = &router->memory;
    struct gg_worker *worker = peer->worker;

    gg_table_remove(memory, &router->peers,
                    gg_table_find(&router->peers, peer->number, NOTHING));
    peer->closed = 1;
    for (uint32_t i = 0; i < peer->endpoint_count; i++) {
        struct gg_peer_target *fed = gg_router_fed_by(router, peer, i);

        if (fed != NULL)
            gg_peer_target_disconnect(memory, fed);
    }
    if (worker != NULL) {
        gg_work_bury(&router->work, worker, GG_ENDED_UNHANDLED, document, now);
        peer->worker = NULL;
        gg_timers_retire(memory, &router->work.timers, &worker->timer);
    }
    gg_peer_drop(memory, peer);
}

int gg_router_detach(struct gg_router *router, uint32_t peer,
                     const uint8_t *document, size_t size, double now)
{
    struct gg_peer *connection = gg_table_get(&router->peers, peer);
    struct gg_blob *copy;

    if (connection == NULL)
        return GG_OK;
    if (reserve(router, forget_room(connection)) != GG_OK)
        return GG_ENOMEM;
    copy = gg_blob_new(&router->memory, document, size);
    if (copy == NULL)
        return GG_ENOMEM;
    forget(router, connection, copy, now);
    gg_blob_drop(&router->memory, copy);
    return GG_OK;
}

static void put_cut_off(struct gg_router *router, uint32_t peer,
                        struct gg_blob *reason)
{
    struct gg_output *output =
        gg_outputs_add(&router->work.outputs, GG_CUT_OFF);

    output->peer = peer;
    gg_outputs_put_payload(output, reason);
}

/* Note what the core did wrong; it is trusted, and is never cut off. */
static int blame_core(struct gg_router *router, const struct gg_blob *reason)
{
    struct gg_text text = text_of(router);
    struct gg_blob *fault;

    gg_text_word(&text, "the core ");
    gg_text_put(&text, reason->bytes, reason->size);
    fault = gg_text_done(&text);
    if (fault == NULL)
        return GG_ENOMEM;
    gg_blob_drop(&router->memory, router->fault);
    router->fault = fault;
    return GG_ECORE;
}

/* End and forget a peer that broke the contract; nobody else notices. */
static int cut_off(struct gg_router *router, struct gg_peer *peer,
                   struct gg_blob *reason, double now)
{
    struct gg_text text = text_of(router);
    struct gg_blob *document;

    if (peer->number == GG_CORE)
        return blame_core(router, reason);
    if (reserve(router, 1 + forget_room(peer)) != GG_OK)
        return GG_ENOMEM;
    gg_text_word(&text, "the worker was cut off: it ");
    gg_text_put(&text, reason->bytes, reason->size);
    document = gg_text_document(&text, "ProtocolError");
    if (document == NULL)
        return GG_ENOMEM;
    peer->cut = 1;
    put_cut_off(router, peer->number, reason);
    forget(router, peer, document, now);
    gg_blob_drop(&router->memory, document);
    return GG_OK;
}

int gg_router_cut_for(struct gg_router *router, struct gg_peer *peer,
                      struct gg_text *text, double now)
{
    struct gg_blob *reason = gg_text_done(text);
    int status;

    if (reason == NULL)
        return GG_ENOMEM;
    status = cut_off(router, peer, reason, now);
    gg_blob_drop(&router->memory, reason);
    return status;
}

int gg_router_cut(struct gg_router *router, uint32_t peer,
                  const uint8_t *reason, size_t size, double now)
{
    struct gg_peer *connection = gg_table_get(&router->peers, peer);
    struct gg_blob *copy;
    int status = GG_OK;

    if (connection != NULL && connection->cut)
        return GG_OK; /* retired already */
    if (reserve(router, 1) != GG_OK)
        return GG_ENOMEM;
    copy = gg_blob_new(&router->memory, reason, size);
    if (copy == NULL)
        return GG_ENOMEM;
    if (connection != NULL)
        status = cut_off(router, connection, copy, now);
    else
        put_cut_off(router, peer, copy);
    gg_blob_drop(&router->memory, copy);
    return status;
}

int gg_router_hold(struct gg_router *router, uint32_t peer, int held)
{
    return gg_router_hold_for(router, peer, GG_HELD_BY_OWNER, held);
}

int gg_router_hold_for(struct gg_router *router, uint32_t peer,
                       enum gg_holder holder, int held)
{
    struct gg_peer *connection = gg_table_get(&router->peers, peer);
    size_t kept = 0;

    if (connection == NULL)
        return GG_OK;
    for (uint32_t i = 0; i < connection->endpoint_count; i++) {
        const struct gg_peer_target *fed =
            gg_router_fed_by(router, connection, i);

        kept += fed == NULL ? 0 : fed->kept.count;
    }
    if (!held && reserve(router, kept) != GG_OK)
        return GG_ENOMEM;
    connection->held = (uint8_t)(held ? connection->held | holder
                                      : connection->held & ~holder);
    if (connection->held || gg_peer_silent(connection))
        return GG_OK;
    for (uint32_t i = 0; i < connection->endpoint_count; i++) {
        struct gg_peer_target *fed = gg_router_fed_by(router, connection, i);

        while (fed != NULL && fed->kept.first != NULL) {
            struct gg_item *item =
                GG_OF(fed->kept.first, struct gg_item, place);

            gg_list_remove(&fed->kept, &item->place);
            fed->kept_bytes -= item->payload;
            gg_outputs_put_message(&router->work.outputs, peer,
                                   fed->target.endpoint, item->blob,
                                   item->topic);
            gg_item_drop(&router->memory, item);
        }
    }
    return GG_OK;
}

int gg_router_is_busy(const struct gg_router *router, uint32_t peer)
{
    const struct gg_peer *connection = gg_table_get(&router->peers, peer);

    return connection != NULL && connection->worker != NULL &&
           connection->worker->sent.count > 0;
}
