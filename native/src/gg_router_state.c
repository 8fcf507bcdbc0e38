/* SPDX-License-Identifier: Apache-2.0 */
/* State of the router: items, peers, workers, targets and their deadlines. */
#include "gg/router_parts.h"

#include <string.h>

enum {
    START_DEADLINE_S = 60, /* in texts; gg_router_work.c applies it */
    FIRST_ENTRIES = 256,
    ENTRIES_EACH = 4 /* of each owner; one counts, the others are dead */
};

/* Items. */

struct gg_item *gg_item_new(const struct gg_memory *memory, uint8_t kind,
                            uint32_t source, struct gg_blob *blob)
{
    struct gg_item *item = gg_memory_take(memory, sizeof *item);

    if (item == NULL)
        return NULL;
    memset(item, 0, sizeof *item);
    item->kind = kind;
    item->source = source;
    item->blob = gg_blob_keep(blob);
    item->start_by = GG_NEVER;
    return item;
}

void gg_item_drop(const struct gg_memory *memory, struct gg_item *item)
{
    if (item == NULL)
        return;
    gg_blob_drop(memory, item->blob);
    gg_peer_drop(memory, item->caller);
    gg_memory_free(memory, item);
}

/* Peers. */

struct gg_peer *gg_peer_new(const struct gg_memory *memory, uint32_t number)
{
    struct gg_peer *peer = gg_memory_take(memory, sizeof *peer);

    if (peer != NULL) {
        memset(peer, 0, sizeof *peer);
        peer->number = number;
        peer->references = 1;
    }
    return peer;
}

struct gg_peer *gg_peer_keep(struct gg_peer *peer)
{
    peer->references++;
    return peer;
}

void gg_peer_drop(const struct gg_memory *memory, struct gg_peer *peer)
{
    if (peer == NULL || --peer->references > 0)
        return;
    gg_memory_free(memory, peer->endpoints);
    gg_memory_free(memory, peer);
}

int gg_peer_silent(const struct gg_peer *peer)
{
    return peer->closed || peer->cut;
}

/* Where `endpoint` stands among those of the peer, or would stand. */
static uint32_t place_of(const struct gg_peer *peer, uint32_t endpoint)
{
    uint32_t low = 0;
    uint32_t high = peer->endpoint_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (peer->endpoints[middle] < endpoint)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int gg_peer_owns(const struct gg_peer *peer, uint32_t endpoint)
{
    uint32_t at = place_of(peer, endpoint);

    return at < peer->endpoint_count && peer->endpoints[at] == endpoint;
}

int gg_peer_reserve(const struct gg_memory *memory, struct gg_peer *peer)
{
    uint32_t room = peer->endpoint_room == 0 ? 1 : 2 * peer->endpoint_room;
    uint32_t *endpoints;

    if (peer->endpoint_count < peer->endpoint_room)
        return GG_OK;
    if (peer->endpoint_room > UINT32_MAX / 8)
        return GG_ENOMEM;
    endpoints =
        gg_memory_move(memory, peer->endpoints, room * sizeof *endpoints);
    if (endpoints == NULL)
        return GG_ENOMEM;
    peer->endpoints = endpoints;
    peer->endpoint_room = room;
    return GG_OK;
}

void gg_peer_add(struct gg_peer *peer, uint32_t endpoint)
{
    uint32_t at = place_of(peer, endpoint);

    if (at < peer->endpoint_count && peer->endpoints[at] == endpoint)
        return;
    memmove(peer->endpoints + at + 1, peer->endpoints + at,
            (peer->endpoint_count - at) * sizeof *peer->endpoints);
    peer->endpoints[at] = endpoint;
    peer->endpoint_count++;
}

/* Targets that one peer reads. */

int gg_peer_target_refusal(const struct gg_peer_target *target, size_t size)
{
    if (target->peer == NULL || gg_peer_silent(target->peer))
        return GG_NOT_CONNECTED;
    if ((target->peer->held || target->kept.count > 0) &&
        (target->kept.count >= target->queue_items ||
         target->kept_bytes + size > target->queue_bytes))
        return GG_QUEUE_FULL;
    return GG_TAKEN;
}

void gg_peer_target_disconnect(const struct gg_memory *memory,
                               struct gg_peer_target *target)
{
    while (target->kept.first != NULL) {
        struct gg_item *item = GG_OF(target->kept.first, struct gg_item, place);

        gg_list_remove(&target->kept, &item->place);
        gg_item_drop(memory, item);
    }
    target->kept_bytes = 0;
    gg_peer_drop(memory, target->peer);
    target->peer = NULL;
}

/* Functions: the queue of their items. */

static void lies_here(struct gg_function *function, struct gg_item *item)
{
    item->waiting = 1;
    function->waiting_bytes += gg_item_size(item);
}

static void lies_elsewhere(struct gg_function *function, struct gg_item *item)
{
    gg_list_remove(&function->waiting, &item->place);
    item->waiting = 0;
    function->waiting_bytes -= gg_item_size(item);
}

static void leave_calls(struct gg_function *function, struct gg_item *item)
{
    if (item->pending)
        gg_list_remove(&function->calls, &item->call);
    item->pending = 0;
}

int gg_function_refusal(const struct gg_function *function, size_t size)
{
    if (function->waiting.count >= function->rules.queue_items ||
        function->waiting_bytes + size > function->rules.queue_bytes)
        return GG_QUEUE_FULL;
    return GG_TAKEN;
}

void gg_function_put(struct gg_function *function, struct gg_item *item)
{
    function->items++;
    gg_list_append(&function->waiting, &item->place);
    lies_here(function, item);
    if (gg_item_is_call(item)) {
        gg_list_append(&function->calls, &item->call);
        item->pending = 1;
    }
}

void gg_function_put_back(struct gg_function *function, struct gg_item *item)
{
    gg_list_prepend(&function->waiting, &item->place);
    lies_here(function, item);
}

struct gg_item *gg_function_take(struct gg_function *function)
{
    struct gg_item *item =
        GG_OF(function->waiting.first, struct gg_item, place);

    lies_elsewhere(function, item);
    return item;
}

/* The place of a time in the histogram: the length of its number of
 * microseconds, in bits. */
static size_t bucket_of(double seconds)
{
    double us = seconds * 1e6;
    size_t bits = 0;

    if (us >= (double)(UINT32_C(1) << 31))
        return GG_WAITS - 1;
    for (uint32_t left = us < 1 ? 0 : (uint32_t)us; left > 0; left >>= 1)
        bits++;
    return bits < GG_WAITS - 1 ? bits : GG_WAITS - 1;
}

void gg_function_begin(struct gg_function *function, struct gg_item *item,
                       double now)
{
    item->started_at = now;
    item->started = 1;
    function->waits[bucket_of(now - item->queued_at)]++;
    leave_calls(function, item);
}

void gg_function_end(struct gg_function *function, struct gg_item *item)
{
    item->ended = 1;
    function->items--;
    leave_calls(function, item);
    if (item->waiting)
        lies_elsewhere(function, item);
}

double gg_function_deadline(const struct gg_function *function)
{
    if (function->calls.first == NULL)
        return GG_NEVER;
    return GG_OF(function->calls.first, struct gg_item, call)->start_by;
}

static int any_ready(const struct gg_function *function)
{
    for (struct gg_node *at = function->workers.first; at; at = at->after)
        if (GG_OF(at, struct gg_worker, among)->phase == GG_READY_PHASE)
            return 1;
    return 0;
}

void gg_function_why_not_started(const struct gg_function *function,
                                 struct gg_text *text)
{
    const struct gg_blob *failure = function->last_failure;

    gg_text_word(text, "the invocation has not started after ");
    gg_text_number(text, START_DEADLINE_S);
    gg_text_word(text, " s: ");
    if (failure != NULL && failure->size > 0 && !any_ready(function)) {
        struct gg_bytes document = {failure->bytes, failure->size};

        gg_text_word(text, "the function does not start: ");
        gg_text_message_of(text, document);
    } else if (function->workers.count == 0) {
        gg_text_word(text, "no worker could be started");
    } else if (function->importing == function->workers.count) {
        gg_text_word(text, "the function is still importing");
    } else {
        gg_text_number(text, function->workers.count);
        gg_text_word(text, " worker(s) busy, ");
        gg_text_number(text, function->waiting.count);
        gg_text_word(text, " item(s) waiting");
    }
}

/* Timers: a heap of (time, order of arming). An owner has one entry that
 * counts, at `armed_at`; an owner that was armed earlier again leaves the old
 * entry behind, dead, and so does one that is retired; they go when their time
 * comes or when there are too many. So next() may be early and is never late.
 * The Python machine counts and tidies alike, so that both say the same. */

static double deadline_of(const struct gg_timer *owner)
{
    if (owner->is_worker)
        return owner->deadline;
    return gg_function_deadline(GG_OF(owner, const struct gg_function, timer));
}

static void owner_drop(const struct gg_memory *memory, struct gg_timer *owner)
{
    if (--owner->references == 0)
        gg_memory_free(memory, owner); /* it stands first in what it heads */
}

static int is_before(const struct gg_entry *one, const struct gg_entry *other)
{
    if (one->at < other->at)
        return 1;
    return !(other->at < one->at) && one->order < other->order;
}

static void sift_up(struct gg_entry *heap, size_t at)
{
    struct gg_entry entry = heap[at];

    while (at > 0 && is_before(&entry, &heap[(at - 1) / 2])) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = entry;
}

static void sift_down(struct gg_entry *heap, size_t count, size_t at)
{
    struct gg_entry entry = heap[at];

    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && is_before(&heap[child + 1], &heap[child]))
            child++;
        if (is_before(&entry, &heap[child]))
            break;
        heap[at] = heap[child];
    }
    heap[at] = entry;
}

static int entry_counts(const struct gg_entry *entry)
{
    return !entry->owner->dead && !(entry->owner->armed_at < entry->at) &&
           !(entry->at < entry->owner->armed_at);
}

/* Drop the entries that cannot count any more. At most one of each living
 * owner is left: the one that would come up first. */
static void compact(const struct gg_memory *memory, struct gg_timers *timers)
{
    size_t kept = 0;

    for (size_t i = 0; i < timers->count; i++)
        timers->heap[i].owner->first_order = UINT64_MAX;
    for (size_t i = 0; i < timers->count; i++) {
        const struct gg_entry *entry = &timers->heap[i];

        if (entry_counts(entry) && entry->order < entry->owner->first_order)
            entry->owner->first_order = entry->order;
    }
    for (size_t i = 0; i < timers->count; i++) {
        const struct gg_entry entry = timers->heap[i];

        if (entry.order == entry.owner->first_order)
            timers->heap[kept++] = entry;
        else
            owner_drop(memory, entry.owner);
    }
    timers->count = kept;
    for (size_t i = kept / 2; i-- > 0;)
        sift_down(timers->heap, kept, i);
}

static size_t most_entries(size_t owners)
{
    return FIRST_ENTRIES + ENTRIES_EACH * owners;
}

static void tidy(const struct gg_memory *memory, struct gg_timers *timers)
{
    if (timers->count >= most_entries(timers->owners))
        compact(memory, timers);
}

int gg_timers_admit(const struct gg_memory *memory, struct gg_timers *timers)
{
    size_t wanted = most_entries(timers->owners + 1);

    if (wanted > timers->room) {
        size_t room = 2 * wanted;
        struct gg_entry *heap =
            gg_memory_move(memory, timers->heap, room * sizeof *heap);

        if (heap == NULL)
            return GG_ENOMEM;
        timers->heap = heap;
        timers->room = room;
    }
    timers->owners++;
    return GG_OK;
}

void gg_timers_retire(const struct gg_memory *memory, struct gg_timers *timers,
                      struct gg_timer *owner)
{
    owner->dead = 1;
    timers->owners--;
    tidy(memory, timers);
    owner_drop(memory, owner);
}

void gg_timers_arm(const struct gg_memory *memory, struct gg_timers *timers,
                   struct gg_timer *owner)
{
    double deadline = deadline_of(owner);
    struct gg_entry *entry;

    if (deadline >= GG_NEVER || owner->armed_at <= deadline)
        return;
    owner->armed_at = deadline;
    tidy(memory, timers);
    owner->references++;
    entry = &timers->heap[timers->count++];
    entry->at = deadline;
    entry->order = ++timers->last_order;
    entry->owner = owner;
    sift_up(timers->heap, timers->count - 1);
}

void gg_timers_pop(const struct gg_memory *memory, struct gg_timers *timers)
{
    struct gg_timer *owner = timers->heap[0].owner;

    timers->heap[0] = timers->heap[--timers->count];
    if (timers->count > 0)
        sift_down(timers->heap, timers->count, 0);
    owner_drop(memory, owner);
}

struct gg_timer *gg_timers_due(const struct gg_memory *memory,
                               struct gg_timers *timers, double now)
{
    while (timers->count > 0 && timers->heap[0].at <= now) {
        const struct gg_entry entry = timers->heap[0];
        struct gg_timer *owner = entry.owner;
        double deadline;

        if (!entry_counts(&entry)) {
            gg_timers_pop(memory, timers);
            continue; /* a shorter deadline came up before */
        }
        deadline = deadline_of(owner);
        if (deadline <= now)
            return owner;
        owner->armed_at = GG_NEVER;
        gg_timers_pop(memory, timers);
        gg_timers_arm(memory, timers, owner);
    }
    return NULL;
}

void gg_timers_clear(const struct gg_memory *memory, struct gg_timers *timers)
{
    for (size_t i = 0; i < timers->count; i++)
        owner_drop(memory, timers->heap[i].owner);
    gg_memory_free(memory, timers->heap);
    memset(timers, 0, sizeof *timers);
}
