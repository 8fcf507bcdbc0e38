/* SPDX-License-Identifier: Apache-2.0 */
/* Publish: who gets a message, and what is said where somebody does not. */
#include "gg/router_parts.h"

static const struct gg_bytes NOTHING = {NULL, 0};

static struct gg_text text_of(const struct gg_router *router)
{
    return gg_text_new(&router->memory);
}

static int reserve(struct gg_router *router, size_t outputs)
{
    return gg_outputs_reserve(&router->memory, &router->work.outputs, outputs);
}

static void tap(struct gg_router *router, const struct gg_view *view,
                struct gg_blob *blob, uint32_t row, int refusal)
{
    struct gg_output *tapped;

    if (!router->work.tap)
        return;
    tapped = gg_outputs_add(&router->work.outputs, GG_TAPPED);
    tapped->endpoint = view->endpoint;
    tapped->id = row;
    tapped->code = (uint8_t)refusal;
    tapped->flags = router->routes.generation;
    tapped->blob = gg_blob_keep(blob);
    tapped->topic = gg_blob_slice(blob, 0, view->topic.size);
    tapped->payload = gg_blob_slice(blob, view->topic.size, view->payload.size);
}

int gg_router_refusal(const struct gg_router *router, struct gg_target *target,
                      size_t size)
{
    int refusal;

    if (!target->is_function)
        return gg_peer_target_refusal(gg_peer_target_of(target), size);
    refusal = gg_function_refusal(gg_function_of(target), size);
    if (refusal == GG_TAKEN)
        refusal = gg_work_share_refusal(&router->work, gg_function_of(target));
    return refusal;
}

/* One delivery per target, by its first row. Returns how many. */
static int choose(struct gg_router *router, const struct gg_view *view,
                  uint32_t found)
{
    struct gg_routes *routes = &router->routes;
    uint32_t count = 0;

    router->round++;
    for (uint32_t i = 0; i < found; i++) {
        uint32_t row = routes->found[i];
        struct gg_choice *choice = &routes->chosen[count];
        struct gg_target *target;

        if (row >= routes->count)
            return GG_EINVAL;
        target = gg_table_get(&router->targets, routes->rows[row].route.target);
        if (target == NULL)
            return GG_EENDPOINT;
        if (target->mark == router->round)
            continue;
        target->mark = router->round;
        choice->target = target;
        choice->item = NULL;
        choice->row = row;
        choice->refusal = gg_router_refusal(router, target, view->payload.size);
        count++;
    }
    return (int)count;
}

/* Whether a message for this target is kept, as an item, and not sent. */
static int is_kept(struct gg_target *target)
{
    const struct gg_peer *peer;

    if (target->is_function)
        return 1;
    peer = gg_peer_target_of(target)->peer;
    return peer == NULL || peer->held;
}

/* Make the items for the chosen targets that take one. */
static int make_items(struct gg_router *router, const struct gg_view *view,
                      struct gg_blob *blob, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct gg_choice *choice = &router->routes.chosen[i];

        if (choice->refusal != GG_TAKEN || !is_kept(choice->target))
            continue;
        choice->item =
            gg_item_new(&router->memory, GG_MESSAGE, view->endpoint, blob);
        if (choice->item == NULL)
            return GG_ENOMEM;
        choice->item->topic = view->topic.size;
        choice->item->payload = view->payload.size;
    }
    return GG_OK;
}

static void drop_made(struct gg_router *router, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        gg_item_drop(&router->memory, router->routes.chosen[i].item);
}

static void count_row(struct gg_routes *routes, uint32_t number, int refusal)
{
    struct gg_row *row = &routes->rows[number];

    if (refusal == GG_TAKEN)
        row->route.delivered++;
    else
        row->route.dropped[refusal - 1]++;
    if (!row->counted)
        routes->counted[routes->counted_count++] = number;
    row->counted = 1;
}

static void deliver(struct gg_router *router, const struct gg_view *view,
                    struct gg_blob *blob, const struct gg_choice *choice,
                    double now)
{
    struct gg_peer_target *fed;

    if (choice->target->is_function) {
        gg_work_enqueue(&router->work, gg_function_of(choice->target),
                        choice->item, now);
        return;
    }
    fed = gg_peer_target_of(choice->target);
    if (choice->item == NULL) {
        gg_outputs_put_message(&router->work.outputs, fed->peer->number,
                               fed->target.endpoint, blob, view->topic.size);
    } else {
        gg_list_append(&fed->kept, &choice->item->place);
        fed->kept_bytes += choice->item->payload;
    }
}

/* What all-or-exception says when somebody refuses. */
static struct gg_blob *tell_refusals(const struct gg_router *router,
                                     uint32_t count)
{
    const struct gg_routes *routes = &router->routes;
    struct gg_text text = text_of(router);
    const char *between = "nothing was delivered: ";

    for (uint32_t i = 0; i < count; i++) {
        const struct gg_choice *choice = &routes->chosen[i];
        const struct gg_route *route = &routes->rows[choice->row].route;

        if (choice->refusal == GG_TAKEN)
            continue;
        gg_text_word(&text, between);
        gg_text_word(&text, gg_refusal_text(choice->refusal));
        gg_text_word(&text, " (");
        gg_text_put(&text, routes->text + route->id, route->id_size);
        gg_text_word(&text, ")");
        between = ", ";
    }
    return gg_text_done(&text);
}

static size_t fan_out_room(const struct gg_router *router, uint32_t count)
{
    size_t room = 1 + 2 * (size_t)count; /* a verdict, tapped and sent */

    for (uint32_t i = 0; i < count; i++) {
        struct gg_target *target = router->routes.chosen[i].target;

        if (target->is_function)
            room += gg_work_enqueue_room(gg_function_of(target));
    }
    return room;
}

static int fan_out(struct gg_router *router, struct gg_peer *peer,
                   const struct gg_view *view, uint32_t count, double now)
{
    struct gg_routes *routes = &router->routes;
    struct gg_blob *blob;
    struct gg_blob *text = NULL;
    int refused = 0;

    for (uint32_t i = 0; i < count && view->flags & GG_ALL_OR_EXCEPTION; i++)
        refused = refused || routes->chosen[i].refusal != GG_TAKEN;
    blob = gg_blob_of(&router->memory, view->topic, NOTHING, view->payload,
                      view->content);
    if (refused)
        text = tell_refusals(router, count);
    if (blob == NULL || (refused && text == NULL) ||
        reserve(router, fan_out_room(router, count)) != GG_OK ||
        (!refused && make_items(router, view, blob, count) != GG_OK)) {
        drop_made(router, count);
        gg_blob_drop(&router->memory, text);
        gg_blob_drop(&router->memory, blob);
        return GG_ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct gg_choice *choice = &routes->chosen[i];

        if (refused && choice->refusal == GG_TAKEN)
            continue;
        count_row(routes, choice->row, choice->refusal);
        tap(router, view, blob, choice->row, choice->refusal);
        if (choice->refusal == GG_TAKEN)
            deliver(router, view, blob, choice, now);
    }
    if (view->flags & GG_ANSWER)
        gg_router_put_verdict(router, peer, view,
                              refused ? GG_SAYS_QUEUE_FULL : GG_SAYS_OK, text,
                              0);
    else
        gg_blob_drop(&router->memory, text);
    gg_blob_drop(&router->memory, blob);
    return GG_OK;
}

/* Remember that this source and topic were reported, in place of the oldest
 * ones; there is room for it. */
static void report(struct gg_router *router, uint32_t source,
                   struct gg_blob *topic)
{
    struct gg_reported *slot = &router->reports[router->report_next];
    struct gg_output *output =
        gg_outputs_add(&router->work.outputs, GG_UNROUTED);

    if (slot->topic != NULL) {
        struct gg_bytes old = {slot->topic->bytes, slot->topic->size};

        gg_table_remove(&router->memory, &router->reported,
                        gg_table_find(&router->reported, slot->source, old));
        gg_blob_drop(&router->memory, slot->topic);
    }
    slot->source = source;
    slot->topic = gg_blob_keep(topic);
    gg_table_put(&router->reported, source, topic, NULL);
    router->report_next = (router->report_next + 1) % GG_REMEMBERED;
    output->endpoint = source;
    output->blob = gg_blob_keep(topic);
    output->topic = gg_blob_slice(topic, 0, topic->size);
}

static int no_route(struct gg_router *router, struct gg_peer *peer,
                    const struct gg_view *view)
{
    const struct gg_memory *memory = &router->memory;
    int known =
        gg_table_find(&router->reported, view->endpoint, view->topic) != NULL;
    struct gg_text text = text_of(router);
    struct gg_blob *words = NULL;
    struct gg_blob *blob =
        gg_blob_of(memory, view->topic, NOTHING, view->payload, view->content);
    struct gg_blob *topic =
        gg_blob_new(memory, view->topic.at, view->topic.size);

    if (router->strict) {
        gg_text_word(&text, "no subscription matches topic ");
        gg_text_quoted(&text, view->topic, SIZE_MAX);
        gg_text_word(&text, " from this source");
        words = gg_text_done(&text);
    }
    if (blob == NULL || topic == NULL || (router->strict && words == NULL) ||
        gg_table_reserve(memory, &router->reported) != GG_OK ||
        reserve(router, 3) != GG_OK) {
        gg_blob_drop(memory, blob);
        gg_blob_drop(memory, topic);
        gg_blob_drop(memory, words);
        return GG_ENOMEM;
    }
    router->unrouted++;
    if (!known)
        report(router, view->endpoint, topic);
    tap(router, view, blob, GG_NO_ROW, GG_UNMATCHED);
    if (view->flags & GG_ANSWER)
        gg_router_put_verdict(router, peer, view,
                              router->strict ? GG_SAYS_NO_ROUTE : GG_SAYS_OK,
                              gg_blob_keep(words), 0);
    gg_blob_drop(memory, blob);
    gg_blob_drop(memory, topic);
    gg_blob_drop(memory, words);
    return GG_OK;
}

/* Whether the peer may publish this; a topic of the cloud, which the core
 * speaks for, may hold wildcard characters. */
static enum gg_verdict checked(const struct gg_router *router,
                               const struct gg_peer *peer,
                               const struct gg_view *view, struct gg_text *text)
{
    if (view->payload.size > router->topic_payload_bytes) {
        gg_text_too_large(text, "message", view->payload.size,
                          router->topic_payload_bytes);
        return GG_SAYS_TOO_LARGE;
    }
    if (peer->number != GG_CORE && gg_text_bad_topic(text, view->topic))
        return GG_SAYS_INVALID;
    return GG_SAYS_OK;
}

int gg_router_publish(struct gg_router *router, struct gg_peer *peer,
                      const struct gg_view *view, double now)
{
    const struct gg_routes *routes = &router->routes;
    struct gg_text text = text_of(router);
    enum gg_verdict status = checked(router, peer, view, &text);
    int found = 0;

    if (status != GG_SAYS_OK) {
        struct gg_text reason = text_of(router);

        if (view->flags & GG_ANSWER)
            return gg_router_verdict(router, peer, view, status, &text);
        gg_text_word(&reason, "published what its own side must refuse: ");
        if (text.size > 0)
            gg_text_put(&reason, text.blob->bytes, text.size);
        reason.failed |= text.failed;
        gg_text_drop(&text);
        return gg_router_cut_for(router, peer, &reason, now);
    }
    if (routes->index != NULL)
        found = gg_index_match(routes->index, view->endpoint, view->topic.at,
                               (uint32_t)view->topic.size, routes->found,
                               routes->capacity);
    if (found > 0)
        found = choose(router, view, (uint32_t)found);
    if (found < 0)
        return found;
    if (found == 0)
        return no_route(router, peer, view);
    return fan_out(router, peer, view, (uint32_t)found, now);
}
