/* SPDX-License-Identifier: Apache-2.0 */
/* Work items: which worker runs what, since when, and how it ended. */
#include "gg/router_parts.h"

#include <string.h>

enum {
    IMPORT_DEADLINE_S = 10, /* on demand only: pinned may never return */
    EXIT_DEADLINE_S = 5,    /* of a worker that could not import its handler */
    CREDIT_ITEMS = 32,      /* what lies with a pinned worker at most ... */
    CREDIT_BYTES = 204800,  /* ... three of 64 KiB; a larger one goes alone */
    ITEM_BYTES = 2048       /* of a credit of its own */
};

static const double START_DEADLINE_S = 60.0;
static const double QUICK_S = 0.05; /* a last run this short: send ahead */

/* Flags of the RESULT frame that tells the caller. */
static uint8_t flags_of(int outcome)
{
    switch (outcome) {
    case GG_ENDED_HANDLED:
        return GG_RESULT_HANDLED;
    case GG_ENDED_UNHANDLED:
        return GG_RESULT_UNHANDLED;
    case GG_ENDED_TIMEOUT:
        return GG_RESULT_UNHANDLED | GG_RESULT_TIMEOUT;
    default:
        return 0;
    }
}

/* What dispatch() can send, and its request for workers. */
static size_t dispatch_room(const struct gg_function *function, size_t added)
{
    size_t waiting = function->waiting.count + added;
    size_t each = function->rules.credit > 0 ? function->rules.credit
                                             : CREDIT_ITEMS;
    size_t credit = function->rules.pinned
                        ? each * (function->workers.count + 1)
                        : function->idle.count + 1;

    return 1 + (credit < waiting ? credit : waiting);
}

size_t gg_work_enqueue_room(const struct gg_function *function)
{
    return dispatch_room(function, 1);
}

/* Its own end or that of what ran, and of all that an import can take along;
 * what is dispatched in between is not dispatched again. */
size_t gg_work_room(const struct gg_function *function, size_t added)
{
    size_t failing = function->rules.pinned ? function->calls.count : 1;

    return 6 + 2 * failing + dispatch_room(function, added);
}

int gg_work_share_refusal(const struct gg_work *work,
                          const struct gg_function *function)
{
    uint64_t holders = work->holders + (function->items == 0 ? 1 : 0);
    uint64_t share = work->limit / holders;

    if (work->items < work->limit)
        return GG_TAKEN;
    return function->items >= (share > 1 ? share : 1) ? GG_ITEMS_USED_UP
                                                      : GG_TAKEN;
}

/* Writing outputs. */

static void put_worker(struct gg_work *work, uint8_t type,
                       const struct gg_worker *worker, int outcome,
                       struct gg_blob *text)
{
    struct gg_output *output = gg_outputs_add(&work->outputs, type);

    output->peer = worker->peer->number;
    output->endpoint = worker->function->target.endpoint;
    output->code = (uint8_t)outcome;
    if (text != NULL)
        gg_outputs_put_payload(output, text);
}

static void answer(struct gg_work *work, const struct gg_item *item,
                   int outcome, struct gg_blob *document)
{
    struct gg_output *send = gg_outputs_add(&work->outputs, GG_SEND);

    send->peer = item->caller->number;
    send->kind = GG_RESULT;
    send->flags = flags_of(outcome);
    send->endpoint = item->source;
    send->id = item->number;
    gg_outputs_put_work_id(send, item->id);
    gg_outputs_put_payload(send, document);
}

/* The life of an item. */

/* The first item of the worker starts now: answers come one at a time. */
static void start(struct gg_work *work, struct gg_worker *worker, double now)
{
    struct gg_item *item = GG_OF(worker->sent.first, struct gg_item, place);

    gg_function_begin(worker->function, item, now);
    worker->timer.deadline = now + worker->function->rules.timeout_s;
    gg_timers_arm(work->memory, &work->timers, &worker->timer);
}

static void give(struct gg_work *work, struct gg_worker *worker,
                 struct gg_item *item, double now)
{
    struct gg_output *send;

    gg_list_append(&worker->sent, &item->place);
    worker->sent_bytes += gg_item_size(item);
    if (worker->sent.first == &item->place)
        start(work, worker, now);
    send = gg_outputs_add(&work->outputs, GG_SEND);
    send->peer = worker->peer->number;
    send->kind = item->kind;
    send->flags = item->event ? GG_EVENT : 0;
    send->endpoint = worker->function->rules.confidential
                         ? item->source
                         : worker->function->target.endpoint;
    send->id = item->id;
    gg_outputs_put_item(send, item);
}

static int has_credit(const struct gg_worker *worker,
                      const struct gg_item *item)
{
    size_t credit = worker->function->rules.credit;

    if (worker->phase != GG_READY_PHASE || gg_peer_silent(worker->peer))
        return 0;
    if (worker->sent.count == 0)
        return 1;
    if (credit > 0)
        return worker->sent.count < credit &&
               worker->sent_bytes + gg_item_size(item) <= credit * ITEM_BYTES;
    return worker->last_run_s <= QUICK_S && worker->sent.count < CREDIT_ITEMS &&
           worker->sent_bytes + gg_item_size(item) <= CREDIT_BYTES;
}

static void dispatch_pinned(struct gg_work *work, struct gg_function *function,
                            double now)
{
    for (struct gg_node *at = function->workers.first; at; at = at->after) {
        struct gg_worker *worker = GG_OF(at, struct gg_worker, among);

        while (function->waiting.first != NULL &&
               has_credit(worker, GG_OF(function->waiting.first, struct gg_item,
                                        place)))
            give(work, worker, gg_function_take(function), now);
    }
}

/* Send waiting items to workers with credit, and ask for workers where more
 * would help. */
static void dispatch(struct gg_work *work, struct gg_function *function,
                     double now)
{
    size_t coming = function->starting + function->importing;
    size_t present = function->workers.count + function->starting;
    size_t wanted = 0;

    if (function->rules.pinned) {
        dispatch_pinned(work, function, now);
        return;
    }
    while (function->waiting.first != NULL && function->idle.last != NULL) {
        struct gg_worker *worker =
            GG_OF(function->idle.last, struct gg_worker, idle);

        gg_list_remove(&function->idle, &worker->idle);
        worker->is_idle = 0;
        give(work, worker, gg_function_take(function), now);
    }
    if (function->waiting.count > coming)
        wanted = function->waiting.count - coming;
    if (present >= function->rules.max_workers)
        return;
    if (wanted > function->rules.max_workers - present)
        wanted = function->rules.max_workers - present;
    if (wanted > 0 && !work->stopping) {
        struct gg_output *need =
            gg_outputs_add(&work->outputs, GG_NEED_WORKERS);

        need->endpoint = function->target.endpoint;
        need->id = wanted;
        function->starting += wanted;
    }
}

/* Give `item` its one outcome; the first one wins. A call that was sent ahead
 * and given up has ended before its worker answers it. */
static void finish(struct gg_work *work, struct gg_function *function,
                   struct gg_item *item, int outcome, struct gg_blob *document,
                   double now)
{
    int waited = item->waiting;

    if (item->ended)
        return;
    gg_function_end(function, item);
    work->items--;
    if (function->items == 0)
        work->holders--;
    function->outcomes[outcome]++;
    if (gg_item_is_call(item) && item->caller != NULL &&
        !gg_peer_silent(item->caller))
        answer(work, item, outcome, document);
    if (work->tap || outcome != GG_ENDED_OK)
        gg_outputs_put_finished(&work->outputs, function->target.endpoint, item,
                                outcome, document, now);
    if (waited)
        gg_item_drop(work->memory, item); /* else it lies with a worker */
}

/* End what waited for an import that failed. On demand, the one item that
 * asked for the worker; pinned, the invocations whose callers wait, while
 * messages and events stay queued for the next start. */
static void fail_for_import(struct gg_work *work, struct gg_function *function,
                            struct gg_blob *document, double now)
{
    struct gg_node *at = function->waiting.first;

    (void)gg_blob_keep(document);
    gg_blob_drop(work->memory, function->last_failure);
    function->last_failure = document;
    while (at != NULL) {
        struct gg_item *item = GG_OF(at, struct gg_item, place);

        at = function->rules.pinned ? at->after : NULL;
        if (!function->rules.pinned || gg_item_is_call(item))
            finish(work, function, item, GG_ENDED_UNHANDLED, document, now);
    }
    dispatch(work, function, now);
}

void gg_work_enqueue(struct gg_work *work, struct gg_function *function,
                     struct gg_item *item, double now)
{
    item->id = ++work->last_id;
    item->queued_at = now;
    if (gg_item_is_call(item))
        item->start_by = now + START_DEADLINE_S;
    work->items++;
    if (function->items == 0)
        work->holders++;
    gg_function_put(function, item);
    gg_timers_arm(work->memory, &work->timers, &function->timer);
    dispatch(work, function, now);
}

/* Workers. */

void gg_work_attach(struct gg_work *work, struct gg_worker *worker, double now)
{
    struct gg_function *function = worker->function;

    gg_list_append(&function->workers, &worker->among);
    worker->serves = 1;
    function->importing++;
    if (function->starting > 0)
        function->starting--;
    if (!function->rules.pinned) {
        worker->timer.deadline = now + IMPORT_DEADLINE_S;
        gg_timers_arm(work->memory, &work->timers, &worker->timer);
    }
}

void gg_work_failed_to_start(struct gg_work *work, struct gg_function *function,
                             struct gg_blob *document, double now)
{
    if (function->starting > 0)
        function->starting--;
    fail_for_import(work, function, document, now);
}

void gg_work_leave_idle(struct gg_worker *worker)
{
    if (!worker->is_idle)
        return;
    gg_list_remove(&worker->function->idle, &worker->idle);
    worker->is_idle = 0;
    worker->timer.deadline = GG_NEVER;
}

/* Offer an on-demand worker for the next item, and end it if none comes. */
static void offer(struct gg_work *work, struct gg_worker *worker, double now)
{
    if (worker->function->rules.pinned || gg_peer_silent(worker->peer))
        return;
    gg_list_append(&worker->function->idle, &worker->idle);
    worker->is_idle = 1;
    worker->timer.deadline = now + worker->function->rules.idle_s;
    gg_timers_arm(work->memory, &work->timers, &worker->timer);
}

static int import_failed(struct gg_work *work, struct gg_worker *worker,
                         struct gg_bytes payload, double now)
{
    struct gg_blob *document;

    if (payload.size > work->payload_bytes) {
        struct gg_text text = gg_text_new(work->memory);

        gg_text_too_large(&text, "import error", payload.size,
                          work->payload_bytes);
        document = gg_text_document(&text, "ImportErrorTooLarge");
    } else {
        document = gg_blob_new(work->memory, payload.at, payload.size);
    }
    if (document == NULL)
        return GG_ENOMEM;
    worker->timer.deadline = now + EXIT_DEADLINE_S;
    worker->phase = GG_FAILED;
    worker->function->importing--;
    gg_timers_arm(work->memory, &work->timers, &worker->timer);
    put_worker(work, GG_IMPORT_FAILED, worker, 0, document);
    fail_for_import(work, worker->function, document, now);
    gg_blob_drop(work->memory, document);
    return GG_OK;
}

int gg_work_ready(struct gg_work *work, struct gg_worker *worker, uint8_t flags,
                  struct gg_bytes payload, double now)
{
    struct gg_function *function = worker->function;

    if (gg_outputs_reserve(work->memory, &work->outputs,
                           gg_work_room(function, 0)) != GG_OK)
        return GG_ENOMEM;
    if (flags & GG_IMPORT_BAD)
        return import_failed(work, worker, payload, now);
    worker->timer.deadline = GG_NEVER;
    worker->phase = GG_READY_PHASE;
    function->importing--;
    gg_blob_drop(work->memory, function->last_failure);
    function->last_failure = NULL;
    put_worker(work, GG_WORKER_READY, worker, 0, NULL);
    offer(work, worker, now);
    dispatch(work, function, now);
    return GG_OK;
}

/* The outcome that a result gives `item`, and the document that tells of it;
 * none is made where nobody is told. */
static int read_result(const struct gg_work *work, const struct gg_item *item,
                       const struct gg_view *view, struct gg_blob **document)
{
    const struct gg_bytes payload = view->payload;
    int outcome = view->flags & GG_RESULT_HANDLED ? GG_ENDED_HANDLED : GG_ENDED_OK;

    if (payload.size > work->payload_bytes) {
        struct gg_text text = gg_text_new(work->memory);

        gg_text_too_large(&text, "result", payload.size, work->payload_bytes);
        *document = gg_text_document(&text, "ResultTooLarge");
        outcome = GG_ENDED_UNHANDLED;
    } else if (work->tap || outcome != GG_ENDED_OK || gg_item_is_call(item)) {
        *document = view->content != NULL
                        ? gg_blob_keep(view->content)
                        : gg_blob_new(work->memory, payload.at, payload.size);
    } else {
        return outcome;
    }
    return *document == NULL ? GG_ENOMEM : outcome;
}

int gg_work_result(struct gg_work *work, struct gg_worker *worker,
                   const struct gg_view *view, double now)
{
    struct gg_function *function = worker->function;
    struct gg_item *item = GG_OF(worker->sent.first, struct gg_item, place);
    struct gg_blob *document = NULL;
    int outcome;

    if (gg_outputs_reserve(work->memory, &work->outputs,
                           gg_work_room(function, 0)) != GG_OK)
        return GG_ENOMEM;
    outcome = read_result(work, item, view, &document);
    if (outcome < 0)
        return outcome;
    if (document != NULL && function->rules.confidential)
        document->secret = 1;
    gg_list_remove(&worker->sent, &item->place);
    worker->sent_bytes -= gg_item_size(item);
    worker->last_run_s = now - (item->started ? item->started_at : now);
    worker->timer.deadline = GG_NEVER;
    if (worker->sent.first != NULL)
        start(work, worker, now);
    else
        offer(work, worker, now);
    finish(work, function, item, outcome, document, now);
    gg_item_drop(work->memory, item);
    dispatch(work, function, now);
    gg_blob_drop(work->memory, document);
    return GG_OK;
}

/* End the item that ran, put the others back in front, forget the worker. */
void gg_work_bury(struct gg_work *work, struct gg_worker *worker, int outcome,
                  struct gg_blob *document, double now)
{
    struct gg_function *function = worker->function;
    struct gg_item *running = NULL;

    if (!worker->serves)
        return;
    worker->serves = 0;
    gg_list_remove(&function->workers, &worker->among);
    if (worker->phase == GG_STARTING)
        function->importing--;
    gg_work_leave_idle(worker);
    worker->timer.deadline = GG_NEVER;
    if (worker->sent.first != NULL) {
        running = GG_OF(worker->sent.first, struct gg_item, place);
        gg_list_remove(&worker->sent, &running->place);
    }
    while (worker->sent.last != NULL) {
        struct gg_item *item = GG_OF(worker->sent.last, struct gg_item, place);

        gg_list_remove(&worker->sent, &item->place);
        if (item->ended)
            gg_item_drop(work->memory, item);
        else
            gg_function_put_back(function, item);
    }
    worker->sent_bytes = 0;
    if (running != NULL) {
        finish(work, function, running, outcome, document, now);
        gg_item_drop(work->memory, running);
    } else if (worker->phase == GG_STARTING && outcome != GG_ENDED_OK) {
        fail_for_import(work, function, document, now);
    }
    dispatch(work, function, now);
}

/* Deadlines. */

/* Why a worker whose deadline has come is retired, and what its item gets. */
static int verdict_on(const struct gg_work *work,
                      const struct gg_worker *worker, double now,
                      struct gg_text *reason, struct gg_blob **document)
{
    const struct gg_rules *rules = &worker->function->rules;
    struct gg_text text = gg_text_new(work->memory);

    if (worker->phase == GG_STARTING) {
        for (int i = 0; i < 2; i++) {
            struct gg_text *one = i == 0 ? reason : &text;

            gg_text_word(one, "import did not finish within ");
            gg_text_number(one, IMPORT_DEADLINE_S);
            gg_text_word(one, " s");
        }
        *document = gg_text_document(&text, "ImportTimeout");
        return GG_ENDED_UNHANDLED;
    }
    if (worker->phase == GG_FAILED) {
        gg_text_word(reason, "did not exit within ");
        gg_text_number(reason, EXIT_DEADLINE_S);
        gg_text_word(reason, " s after its import failed");
        *document = gg_text_done(&text);
        return GG_ENDED_UNHANDLED;
    }
    if (worker->sent.first != NULL) {
        gg_text_word(reason, "timed out after ");
        gg_text_seconds(reason, rules->timeout_s);
        gg_text_word(reason, " s");
        gg_text_timeout(&text, work->epoch + now, work->boot,
                        GG_OF(worker->sent.first, struct gg_item, place)->id,
                        rules->timeout_s);
        *document = gg_text_document(&text, "Timeout");
        return GG_ENDED_TIMEOUT;
    }
    gg_text_word(reason, "idle for ");
    gg_text_seconds(reason, rules->idle_s);
    gg_text_word(reason, " s");
    *document = gg_text_done(&text);
    return GG_ENDED_OK;
}

/* Take the worker out in this step: nothing it writes later counts. */
static int worker_due(struct gg_work *work, struct gg_worker *worker,
                      double now)
{
    struct gg_text text = gg_text_new(work->memory);
    struct gg_blob *document = NULL;
    int outcome = verdict_on(work, worker, now, &text, &document);
    struct gg_blob *reason = gg_text_done(&text);

    if (document == NULL || reason == NULL ||
        gg_outputs_reserve(
            work->memory, &work->outputs,
            gg_work_room(worker->function, worker->sent.count)) != GG_OK) {
        gg_blob_drop(work->memory, document);
        gg_blob_drop(work->memory, reason);
        return GG_ENOMEM;
    }
    worker->timer.armed_at = GG_NEVER;
    worker->timer.deadline = GG_NEVER;
    gg_timers_pop(work->memory, &work->timers);
    worker->peer->cut = 1;
    put_worker(work, GG_RETIRE_WORKER, worker, outcome, reason);
    gg_work_bury(work, worker, outcome, document, now);
    gg_blob_drop(work->memory, document);
    gg_blob_drop(work->memory, reason);
    return GG_OK;
}

static int start_due(struct gg_work *work, struct gg_function *function,
                     double now)
{
    function->timer.armed_at = GG_NEVER;
    gg_timers_pop(work->memory, &work->timers);
    while (gg_function_deadline(function) <= now) {
        struct gg_text text = gg_text_new(work->memory);
        struct gg_blob *document;

        gg_function_why_not_started(function, &text);
        document = gg_text_document(&text, "NotStarted");
        if (document == NULL ||
            gg_outputs_reserve(work->memory, &work->outputs, 2) != GG_OK) {
            gg_blob_drop(work->memory, document);
            gg_timers_arm(work->memory, &work->timers, &function->timer);
            return GG_ENOMEM;
        }
        finish(work, function,
               GG_OF(function->calls.first, struct gg_item, call),
               GG_ENDED_UNHANDLED, document, now);
        gg_blob_drop(work->memory, document);
    }
    gg_timers_arm(work->memory, &work->timers, &function->timer);
    return GG_OK;
}

int gg_work_fire(struct gg_work *work, double now)
{
    struct gg_timer *due;

    while ((due = gg_timers_due(work->memory, &work->timers, now)) != NULL) {
        int status =
            due->is_worker
                ? worker_due(work, GG_OF(due, struct gg_worker, timer), now)
                : start_due(work, GG_OF(due, struct gg_function, timer), now);

        if (status != GG_OK)
            return status;
    }
    return GG_OK;
}
