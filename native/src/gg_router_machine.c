/* SPDX-License-Identifier: Apache-2.0 */
/* The machine: who may speak, who may call, and what a frame means. */
#include "gg/router_parts.h"

#include <limits.h>

static struct gg_text text_of(const struct gg_router *router)
{
    return gg_text_new(&router->memory);
}

static int reserve(struct gg_router *router, size_t outputs)
{
    return gg_outputs_reserve(&router->memory, &router->work.outputs, outputs);
}

/* Verdicts. */

void gg_router_put_verdict(struct gg_router *router, const struct gg_peer *peer,
                           const struct gg_view *view, enum gg_verdict says,
                           struct gg_blob *text, uint64_t work_id)
{
    struct gg_output *send;

    if (gg_peer_silent(peer)) {
        gg_blob_drop(&router->memory, text);
        return;
    }
    send = gg_outputs_add(&router->work.outputs, GG_SEND);
    send->peer = peer->number;
    send->kind = GG_VERDICT;
    send->flags = (uint8_t)says;
    send->endpoint = view->endpoint;
    send->id = view->id;
    if (work_id != 0)
        gg_outputs_put_work_id(send, work_id);
    if (text != NULL)
        gg_outputs_put_payload(send, text);
    gg_blob_drop(&router->memory, text);
}

int gg_router_verdict(struct gg_router *router, const struct gg_peer *peer,
                      const struct gg_view *view, enum gg_verdict says,
                      struct gg_text *text)
{
    struct gg_blob *words;

    if (reserve(router, 1) != GG_OK) {
        gg_text_drop(text);
        return GG_ENOMEM;
    }
    words = gg_text_done(text);
    if (words == NULL)
        return GG_ENOMEM;
    gg_router_put_verdict(router, peer, view, says, words, 0);
    return GG_OK;
}

/* Invoke. */

/* The function that a caller names, or NULL. */
static struct gg_function *named(const struct gg_router *router,
                                 struct gg_bytes name)
{
    const struct gg_slot *slot = gg_table_find(&router->names, 0, name);
    struct gg_target *target;

    if (slot == NULL)
        return NULL;
    target = gg_table_get(&router->targets, (uint32_t)(uintptr_t)slot->value);
    return target == NULL || !target->is_function ? NULL
                                                  : gg_function_of(target);
}

/* Whether the invocation is refused, and the words for it. */
static enum gg_verdict refuse_call(const struct gg_router *router,
                                   struct gg_function *function,
                                   const struct gg_view *view,
                                   struct gg_text *text)
{
    int refusal;

    if (router->work.stopping) {
        gg_text_word(text, "the core is stopping");
        return GG_SAYS_STOPPING;
    }
    if (function == NULL) {
        gg_text_word(text, "no function ");
        gg_text_quoted(text, view->topic, SIZE_MAX);
        gg_text_word(text, " in this group");
        return GG_SAYS_NOT_FOUND;
    }
    if (view->payload.size > router->work.payload_bytes) {
        gg_text_too_large(text, "invocation", view->payload.size,
                          router->work.payload_bytes);
        return GG_SAYS_TOO_LARGE;
    }
    if (view->context.size > GG_MAX_CONTEXT) {
        gg_text_too_large(text, "client context", view->context.size,
                          GG_MAX_CONTEXT);
        return GG_SAYS_TOO_LARGE;
    }
    refusal = gg_router_refusal(router, &function->target,
                                view->context.size + view->payload.size);
    if (refusal == GG_TAKEN)
        return GG_SAYS_OK;
    gg_text_word(text, gg_refusal_text(refusal));
    gg_text_word(text, " at the function");
    return GG_SAYS_QUEUE_FULL;
}

static int accept_call(struct gg_router *router, struct gg_peer *peer,
                       struct gg_function *function, const struct gg_view *view,
                       double now)
{
    const struct gg_memory *memory = &router->memory;
    struct gg_bytes name = {function->name->bytes, function->name->size};
    struct gg_blob *blob =
        gg_blob_of(memory, name, view->context, view->payload, view->content);
    struct gg_item *item = NULL;

    if (blob != NULL)
        item = gg_item_new(memory, GG_INVOKE, view->endpoint, blob);
    gg_blob_drop(memory, blob); /* the item keeps it */
    if (item == NULL ||
        reserve(router, 1 + gg_work_enqueue_room(function)) != GG_OK) {
        gg_item_drop(memory, item);
        return GG_ENOMEM;
    }
    item->topic = name.size;
    item->context = view->context.size;
    item->payload = view->payload.size;
    item->event = view->flags & GG_EVENT;
    item->caller = gg_peer_keep(peer);
    item->number = view->id;
    gg_work_enqueue(&router->work, function, item, now);
    if (view->flags & GG_EVENT)
        gg_router_put_verdict(router, peer, view, GG_SAYS_OK, NULL,
                              router->work.last_id);
    return GG_OK;
}

static int invoke(struct gg_router *router, struct gg_peer *peer,
                  const struct gg_view *view, double now)
{
    struct gg_function *function = named(router, view->topic);
    struct gg_text text = text_of(router);
    enum gg_verdict says = refuse_call(router, function, view, &text);
    int status;

    if (says == GG_SAYS_OK)
        return accept_call(router, peer, function, view, now);
    status = gg_router_verdict(router, peer, view, says, &text);
    if (status == GG_OK && says == GG_SAYS_QUEUE_FULL)
        function->refused++;
    return status;
}

/* Workers' answers, and peers that break the contract. */

static int ready(struct gg_router *router, struct gg_peer *peer,
                 const struct gg_view *view, double now)
{
    struct gg_text reason = text_of(router);

    if (peer->worker != NULL && peer->worker->phase == GG_STARTING)
        return gg_work_ready(&router->work, peer->worker, view->flags,
                             view->payload, now);
    gg_text_word(&reason,
                 "reported the end of an import that nobody waits for");
    return gg_router_cut_for(router, peer, &reason, now);
}

static int result(struct gg_router *router, struct gg_peer *peer,
                  const struct gg_view *view, double now)
{
    const struct gg_worker *worker = peer->worker;
    struct gg_text reason = text_of(router);

    if (worker != NULL && worker->sent.first != NULL &&
        GG_OF(worker->sent.first, struct gg_item, place)->id == view->id)
        return gg_work_result(&router->work, peer->worker, view, now);
    gg_text_word(&reason, "answered item ");
    gg_text_number(&reason, view->id);
    gg_text_word(&reason, ", which it was not asked");
    return gg_router_cut_for(router, peer, &reason, now);
}

static int receive(struct gg_router *router, struct gg_peer *peer,
                   const struct gg_view *view, double now)
{
    struct gg_text reason = text_of(router);

    if (peer->number != GG_CORE && !gg_peer_owns(peer, view->endpoint)) {
        gg_text_word(&reason, "spoke for endpoint ");
        gg_text_number(&reason, view->endpoint);
        gg_text_word(&reason, ", which is not its own");
        return gg_router_cut_for(router, peer, &reason, now);
    }
    switch (view->kind) {
    case GG_PUBLISH:
        return gg_router_publish(router, peer, view, now);
    case GG_INVOKE:
        return invoke(router, peer, view, now);
    case GG_RESULT:
        return result(router, peer, view, now);
    case GG_READY:
        return ready(router, peer, view, now);
    default:
        gg_text_word(&reason, "sent a frame of kind ");
        gg_text_number(&reason, view->kind);
        gg_text_word(&reason, ", which only the core sends");
        return gg_router_cut_for(router, peer, &reason, now);
    }
}

int gg_router_take(struct gg_router *router, uint32_t peer,
                   const struct gg_view *view, double now)
{
    struct gg_peer *connection = gg_table_get(&router->peers, peer);

    if (connection == NULL || connection->cut)
        return GG_OK;
    return receive(router, connection, view, now);
}

int gg_router_receive(struct gg_router *router, uint32_t peer,
                      const uint8_t *data, const struct gg_frame *frame,
                      double now)
{
    struct gg_view view;

    if (frame->topic > frame->context || frame->context > frame->payload ||
        frame->payload > frame->end || frame->end > SIZE_MAX / 2 ||
        frame->end - frame->topic > INT32_MAX) /* sizes of records */
        return GG_EINVAL;
    if (frame->context - frame->topic > GG_MAX_TOPIC)
        return GG_ETOPIC;
    view.topic.at = data + frame->topic;
    view.topic.size = (size_t)(frame->context - frame->topic);
    view.context.at = data + frame->context;
    view.context.size = (size_t)(frame->payload - frame->context);
    view.payload.at = data + frame->payload;
    view.payload.size = (size_t)(frame->end - frame->payload);
    view.content = NULL;
    view.id = frame->id;
    view.endpoint = frame->endpoint;
    view.kind = frame->kind;
    view.flags = frame->flags;
    return gg_router_take(router, peer, &view, now);
}

/* Time. */

int gg_router_step(struct gg_router *router, double now)
{
    int status = gg_work_fire(&router->work, now);
    size_t waiting = router->work.outputs.count;

    if (status != GG_OK)
        return status;
    return waiting > INT_MAX ? INT_MAX : (int)waiting;
}

double gg_router_next_deadline(const struct gg_router *router)
{
    const struct gg_timers *timers = &router->work.timers;

    return timers->count > 0 ? timers->heap[0].at : GG_NEVER;
}

const uint8_t *gg_router_fault(const struct gg_router *router, size_t *size)
{
    static const uint8_t none = 0;

    *size = router->fault == NULL ? 0 : router->fault->size;
    return router->fault == NULL ? &none : router->fault->bytes;
}
