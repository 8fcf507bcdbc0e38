/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GG_ROUTER_PARTS_H
#define GG_ROUTER_PARTS_H

/* The inside of the router, shared by src/gg_router_*.c; src/gg_plane*.c uses
 * its memory, its containers and its queue of outputs.
 *
 * How a call stays whole when memory runs out: it first allocates all that it
 * will need (texts, items, room in the output queue), and only then changes
 * anything. Lists are intrusive and timers have their room since their owner
 * was made, so what comes after the allocations cannot fail. Functions that
 * take a `struct gg_blob *` borrow it and keep it (count it) where they store
 * it. */

#include "gg/router.h"

#include <math.h>

/* Memory: gg_router_memory.c */

/* Bytes that several owners share, and never change. A payload may lie
 * elsewhere, known by a handle (of a descriptor) and its length: then it is a
 * blob by itself, without bytes, and a blob of a topic and a context refers to
 * it as what comes behind them. Or only its end does, from an offset on: that
 * is lent. The machine counts such bytes, and never asks for them. */
struct gg_blob {
    size_t size;   /* of `bytes` */
    size_t length; /* with what lies elsewhere */
    struct gg_blob *content;
    uint64_t offset; /* of what is lent */
    uint32_t references;
    int handle; /* or GG_NO_HANDLE */
    uint8_t lent;
    uint8_t secret; /* its bytes are overwritten before they are given back */
    uint8_t bytes[];
};

#define GG_NO_HANDLE (-1)

void *gg_memory_take(const struct gg_memory *memory, size_t size);
void *gg_memory_move(const struct gg_memory *memory, void *block, size_t size);
void gg_memory_free(const struct gg_memory *memory, void *block);
struct gg_memory gg_memory_default(void);

struct gg_blob *gg_blob_new(const struct gg_memory *memory, const void *data,
                            size_t size);
/* In memory that has room for it: make a blob of its bytes. */
void gg_blob_init(struct gg_blob *blob, size_t size);
/* One after the other; `content`, unless it is NULL, in place of `three`. */
struct gg_blob *gg_blob_of(const struct gg_memory *memory, struct gg_bytes one,
                           struct gg_bytes two, struct gg_bytes three,
                           struct gg_blob *content);
/* Takes the handle over. */
struct gg_blob *gg_blob_held(const struct gg_memory *memory, int handle,
                             size_t length);
/* The same for `head`, then `length` bytes that are lent. */
struct gg_blob *gg_blob_lent(const struct gg_memory *memory,
                             struct gg_bytes head, int handle, uint64_t offset,
                             size_t length);
/* The blob that has the handle of what lies elsewhere, or NULL. */
struct gg_blob *gg_blob_elsewhere(struct gg_blob *blob);
static inline struct gg_blob *gg_blob_keep(struct gg_blob *blob)
{
    if (blob != NULL)
        blob->references++;
    return blob;
}
void gg_blob_drop(const struct gg_memory *memory, struct gg_blob *blob);

/* A list of nodes that lie in what they list. */
struct gg_node {
    struct gg_node *before, *after;
};

struct gg_list {
    struct gg_node *first, *last;
    size_t count;
};

#define GG_OF(node, type, member)                                              \
    ((type *)(void *)((char *)(node) - offsetof(type, member)))

void gg_list_append(struct gg_list *list, struct gg_node *node);
void gg_list_prepend(struct gg_list *list, struct gg_node *node);
void gg_list_remove(struct gg_list *list, struct gg_node *node);

/* A hash table by number and name; a name may be absent. */
struct gg_slot {
    void *value;
    struct gg_blob *name;
    uint32_t number;
    uint32_t hash;
    uint32_t used;
};

struct gg_table {
    struct gg_slot *slots;
    size_t mask;
    size_t used;
};

struct gg_slot *gg_table_find(const struct gg_table *table, uint32_t number,
                              struct gg_bytes name);
void *gg_table_get(const struct gg_table *table, uint32_t number);
GG_NODISCARD int gg_table_reserve(const struct gg_memory *memory,
                                  struct gg_table *table);
/* After gg_table_reserve(); keeps `name`. Replaces what is there. */
void gg_table_put(struct gg_table *table, uint32_t number, struct gg_blob *name,
                  void *value);
void gg_table_remove(const struct gg_memory *memory, struct gg_table *table,
                     struct gg_slot *slot);
void gg_table_clear(const struct gg_memory *memory, struct gg_table *table);

/* Texts: gg_router_texts.c. A text grows until gg_text_done(), which returns
 * it as a blob of its own, or NULL when memory ran out on the way. */

struct gg_text {
    const struct gg_memory *memory;
    struct gg_blob *blob;
    size_t size, room;
    int failed;
};

struct gg_text gg_text_new(const struct gg_memory *memory);
void gg_text_put(struct gg_text *text, const void *bytes, size_t size);
void gg_text_word(struct gg_text *text, const char *word);
void gg_text_number(struct gg_text *text, uint64_t number);
void gg_text_drop(struct gg_text *text);
GG_NODISCARD struct gg_blob *gg_text_done(struct gg_text *text);

/* UTF-8, read as Python's decoder does: the first character of a text that is
 * not empty. An error stands for U+FFFD. */
struct gg_scan {
    uint32_t point;
    size_t size; /* bytes taken, at least 1 */
    const char *error;
};

struct gg_scan gg_scan_point(struct gg_bytes text);
void gg_text_point(struct gg_text *text, uint32_t point);

/* repr(topic.decode("utf-8", "replace")), of at most `chars` characters. */
void gg_text_quoted(struct gg_text *text, struct gg_bytes topic, size_t chars);
void gg_text_seconds(struct gg_text *text, double seconds); /* "%g" */
void gg_text_too_large(struct gg_text *text, const char *what, size_t size,
                       uint64_t limit);
void gg_text_timeout(struct gg_text *text, double wall_clock_s,
                     const uint8_t boot[8], uint64_t id, double timeout_s);

/* The message of an error document, or the text that it is: gg_router_json.c */
void gg_text_message_of(struct gg_text *text, struct gg_bytes document);

/* Say what is wrong with a topic that somebody publishes to; returns whether
 * there is anything. */
int gg_text_bad_topic(struct gg_text *text, struct gg_bytes topic);

/* The error document with this text as its message; drops the text. */
GG_NODISCARD struct gg_blob *gg_text_document(struct gg_text *text,
                                              const char *error_type);

/* Outputs: gg_router_events.c */

struct gg_item;

struct gg_outputs {
    struct gg_output *ring;
    size_t mask; /* room less one; ring NULL: no room */
    size_t head, count;
};

GG_NODISCARD int gg_outputs_reserve(const struct gg_memory *memory,
                                    struct gg_outputs *outputs, size_t more);
/* The next output, zeroed, of a queue that has room for it. */
struct gg_output *gg_outputs_add(struct gg_outputs *outputs, uint8_t type);
/* The oldest output, its bytes valid until the queue changes; NULL for none. */
struct gg_output *gg_outputs_first(const struct gg_outputs *outputs);
/* The newest one. */
struct gg_output *gg_outputs_last(const struct gg_outputs *outputs);
/* Drop the oldest output. */
void gg_outputs_taken(const struct gg_memory *memory,
                      struct gg_outputs *outputs);
/* Move the oldest output to the end of a queue that has room for it. */
void gg_outputs_move(struct gg_outputs *from, struct gg_outputs *to);
void gg_outputs_clear(const struct gg_memory *memory,
                      struct gg_outputs *outputs);
/* An output as Python reads it: a record of this size. */
size_t gg_record_size(const struct gg_output *output);
void gg_record_write(uint8_t *at, const struct gg_output *output);

/* Writing outputs for which there is room. */
/* A part of a blob; at NULL if it lies elsewhere. */
struct gg_bytes gg_blob_slice(const struct gg_blob *blob, size_t at,
                              size_t size);
void gg_outputs_put_work_id(struct gg_output *output, uint64_t work_id);
void gg_outputs_put_payload(struct gg_output *output, struct gg_blob *blob);
void gg_outputs_put_item(struct gg_output *output, const struct gg_item *item);
void gg_outputs_put_message(struct gg_outputs *outputs, uint32_t peer,
                            uint32_t endpoint, struct gg_blob *blob,
                            size_t topic);
void gg_outputs_put_finished(struct gg_outputs *outputs, uint32_t endpoint,
                             const struct gg_item *item, int outcome,
                             struct gg_blob *document, double now);

/* State: gg_router_state.c */

#define GG_NEVER INFINITY

/* Heads a worker or a function: who comes up at a deadline. */
struct gg_timer {
    double deadline;      /* of a worker; that of a function is computed */
    double armed_at;      /* of the entry that counts, or GG_NEVER */
    uint64_t first_order; /* while dead entries are dropped */
    uint32_t references;  /* entries, and one while its owner lives */
    uint8_t is_worker;
    uint8_t dead;
};

struct gg_item {
    struct gg_node place; /* waiting, or sent, or kept for a peer */
    struct gg_node call;  /* of the calls that have not started */
    struct gg_blob *blob; /* topic, context, payload */
    struct gg_peer *caller;
    uint64_t id, number;
    size_t topic, context, payload; /* sizes */
    double queued_at, started_at, start_by;
    uint32_t source;
    uint8_t kind;
    uint8_t event;
    uint8_t started;
    uint8_t waiting;
    uint8_t pending; /* stands among the calls */
    uint8_t ended;
};

struct gg_peer {
    struct gg_worker *worker;
    uint32_t *endpoints; /* ascending */
    uint32_t endpoint_count, endpoint_room;
    uint32_t number;
    uint32_t references; /* the table, items, targets, a worker */
    uint8_t held; /* bits of enum gg_holder */
    uint8_t closed;
    uint8_t cut;
};

enum gg_worker_phase { GG_STARTING = 0, GG_READY_PHASE = 1, GG_FAILED = 2 };

struct gg_worker {
    struct gg_timer timer;
    struct gg_node among; /* the workers of its function */
    struct gg_node idle;
    struct gg_peer *peer;
    struct gg_function *function;
    struct gg_list sent;
    size_t sent_bytes;
    double last_run_s;
    uint8_t phase;
    uint8_t is_idle;
    uint8_t serves; /* is among the workers of its function */
};

struct gg_target {
    uint64_t mark; /* of the publish that chose it last */
    uint32_t endpoint;
    uint8_t is_function;
};

struct gg_peer_target {
    struct gg_target target;
    struct gg_peer *peer;
    struct gg_list kept;
    uint64_t kept_bytes;
    uint64_t queue_items, queue_bytes;
};

struct gg_function {
    struct gg_timer timer;
    struct gg_target target;
    struct gg_rules rules;
    struct gg_list waiting;
    struct gg_list calls;
    struct gg_list workers;
    struct gg_list idle;
    struct gg_blob *name; /* the topic of every invocation */
    struct gg_blob *last_failure;
    uint64_t waiting_bytes;
    uint64_t items;
    uint64_t refused;
    uint64_t outcomes[4];
    uint64_t waits[GG_WAITS];
    size_t importing;
    size_t starting;
};

struct gg_entry {
    double at;
    uint64_t order;
    struct gg_timer *owner;
};

struct gg_timers {
    struct gg_entry *heap;
    size_t count, room;
    size_t owners;
    uint64_t last_order;
};

static inline size_t gg_item_size(const struct gg_item *item)
{
    return item->context + item->payload;
}

static inline int gg_item_is_call(const struct gg_item *item)
{
    return item->kind == GG_INVOKE && !item->event;
}

struct gg_item *gg_item_new(const struct gg_memory *memory, uint8_t kind,
                            uint32_t source, struct gg_blob *blob);
void gg_item_drop(const struct gg_memory *memory, struct gg_item *item);

struct gg_peer *gg_peer_new(const struct gg_memory *memory, uint32_t number);
struct gg_peer *gg_peer_keep(struct gg_peer *peer);
void gg_peer_drop(const struct gg_memory *memory, struct gg_peer *peer);
int gg_peer_silent(const struct gg_peer *peer);
int gg_peer_owns(const struct gg_peer *peer, uint32_t endpoint);
GG_NODISCARD int gg_peer_reserve(const struct gg_memory *memory,
                                 struct gg_peer *peer);
void gg_peer_add(struct gg_peer *peer, uint32_t endpoint);

int gg_peer_target_refusal(const struct gg_peer_target *target, size_t size);
void gg_peer_target_disconnect(const struct gg_memory *memory,
                               struct gg_peer_target *target);

int gg_function_refusal(const struct gg_function *function, size_t size);
void gg_function_put(struct gg_function *function, struct gg_item *item);
void gg_function_put_back(struct gg_function *function, struct gg_item *item);
struct gg_item *gg_function_take(struct gg_function *function);
void gg_function_begin(struct gg_function *function, struct gg_item *item,
                       double now);
void gg_function_end(struct gg_function *function, struct gg_item *item);
double gg_function_deadline(const struct gg_function *function);
void gg_function_why_not_started(const struct gg_function *function,
                                 struct gg_text *text);

/* Room for one more owner, for good; gg_timers_retire() gives it back. */
GG_NODISCARD int gg_timers_admit(const struct gg_memory *memory,
                                 struct gg_timers *timers);
void gg_timers_retire(const struct gg_memory *memory, struct gg_timers *timers,
                      struct gg_timer *owner);
void gg_timers_arm(const struct gg_memory *memory, struct gg_timers *timers,
                   struct gg_timer *owner);
/* The owner whose deadline has come, still in the heap, or NULL. */
struct gg_timer *gg_timers_due(const struct gg_memory *memory,
                               struct gg_timers *timers, double now);
void gg_timers_pop(const struct gg_memory *memory, struct gg_timers *timers);
void gg_timers_clear(const struct gg_memory *memory, struct gg_timers *timers);

/* Work: gg_router_work.c */

struct gg_view;

struct gg_work {
    const struct gg_memory *memory;
    struct gg_outputs outputs;
    struct gg_timers timers;
    uint64_t items, limit;
    uint64_t payload_bytes;
    uint64_t last_id;
    uint64_t holders; /* functions that hold items */
    double epoch;
    uint8_t boot[8];
    uint8_t tap;
    uint8_t stopping;
};

/* Outputs that one change at `function` can make, `added` items more counted
 * as waiting; the caller of what follows has reserved them. The other one is
 * for gg_work_enqueue() alone. */
size_t gg_work_room(const struct gg_function *function, size_t added);
size_t gg_work_enqueue_room(const struct gg_function *function);

int gg_work_share_refusal(const struct gg_work *work,
                          const struct gg_function *function);
void gg_work_enqueue(struct gg_work *work, struct gg_function *function,
                     struct gg_item *item, double now);
void gg_work_attach(struct gg_work *work, struct gg_worker *worker, double now);
void gg_work_failed_to_start(struct gg_work *work, struct gg_function *function,
                             struct gg_blob *document, double now);
void gg_work_leave_idle(struct gg_worker *worker);
void gg_work_bury(struct gg_work *work, struct gg_worker *worker, int outcome,
                  struct gg_blob *document, double now);
GG_NODISCARD int gg_work_ready(struct gg_work *work, struct gg_worker *worker,
                               uint8_t flags, struct gg_bytes payload,
                               double now);
GG_NODISCARD int gg_work_result(struct gg_work *work, struct gg_worker *worker,
                                const struct gg_view *view, double now);
GG_NODISCARD int gg_work_fire(struct gg_work *work, double now);

/* Machine: gg_router_machine.c, and gg_router_topology.c */

enum { GG_REMEMBERED = 1024 }; /* (source, topic) pairs reported once each */

/* A target that a publish chose, and what was made for it. */
struct gg_choice {
    struct gg_target *target;
    struct gg_item *item;
    uint32_t row;
    int refusal;
};

struct gg_row {
    struct gg_route route;
    uint8_t counted; /* stands in the list of counted rows */
};

struct gg_routes {
    const struct gg_index *index;
    struct gg_row *rows;
    struct gg_choice *chosen;
    uint32_t *counted;
    uint32_t *found;
    uint8_t *text;
    uint32_t count, capacity, counted_count;
    uint8_t generation; /* of the table; tells the tapped of two apart */
};

struct gg_reported {
    struct gg_blob *topic;
    uint32_t source;
};

struct gg_router {
    struct gg_memory memory;
    struct gg_work work;
    struct gg_routes routes;
    struct gg_table peers;       /* number: struct gg_peer */
    struct gg_table targets;     /* endpoint: struct gg_target */
    struct gg_table names;       /* 0 and name: endpoint as a pointer */
    struct gg_table reported;    /* source and topic: nothing */
    struct gg_reported *reports; /* the same, in a ring of GG_REMEMBERED */
    size_t report_next;
    struct gg_blob *fault;
    uint64_t unrouted;
    uint64_t round; /* of publishes */
    uint64_t topic_payload_bytes;
    uint8_t strict;
};

/* Flags of frames and what a VERDICT says, as in frames.py. */
enum {
    GG_ALL_OR_EXCEPTION = 1,
    GG_ANSWER = 2,
    GG_EVENT = 1,
    GG_IMPORT_BAD = 1
};
enum { GG_RESULT_HANDLED = 1, GG_RESULT_UNHANDLED = 2, GG_RESULT_TIMEOUT = 4 };
enum gg_verdict {
    GG_SAYS_OK = 0,
    GG_SAYS_NOT_FOUND = 1,
    GG_SAYS_QUEUE_FULL = 2,
    GG_SAYS_NO_ROUTE = 3,
    GG_SAYS_TOO_LARGE = 4,
    GG_SAYS_INVALID = 5,
    GG_SAYS_STOPPING = 6
};

/* A frame whose parts were found to lie in order. */
struct gg_view {
    struct gg_bytes topic, context, payload;
    struct gg_blob *content; /* of the payload if that lies elsewhere, which
                                PUBLISH, INVOKE and RESULT allow; else NULL */
    uint64_t id;
    uint32_t endpoint;
    uint8_t kind;
    uint8_t flags;
};

/* gg_router_receive() for a frame in parts. */
GG_NODISCARD int gg_router_take(struct gg_router *router, uint32_t peer,
                                const struct gg_view *view, double now);
/* Who keeps a peer's messages back; both must let go. */
enum gg_holder { GG_HELD_BY_OWNER = 1, GG_HELD_BY_PLANE = 2 };
GG_NODISCARD int gg_router_hold_for(struct gg_router *router, uint32_t peer,
                                    enum gg_holder holder, int held);
/* The target of the peer's endpoint number `at` if its messages go to it. */
struct gg_peer_target *gg_router_fed_by(const struct gg_router *router,
                                        const struct gg_peer *peer,
                                        uint32_t at);
/* Cut a peer off; `reason` is dropped. */
GG_NODISCARD int gg_router_cut_for(struct gg_router *router,
                                   struct gg_peer *peer, struct gg_text *reason,
                                   double now);
/* Why `target` takes nothing of `size` bytes. */
int gg_router_refusal(const struct gg_router *router, struct gg_target *target,
                      size_t size);
GG_NODISCARD int gg_router_publish(struct gg_router *router,
                                   struct gg_peer *peer,
                                   const struct gg_view *view, double now);
/* Answer with a verdict whose output was reserved; takes `text` over. */
void gg_router_put_verdict(struct gg_router *router, const struct gg_peer *peer,
                           const struct gg_view *view, enum gg_verdict says,
                           struct gg_blob *text, uint64_t work_id);
/* The same whole; `text` is dropped. */
GG_NODISCARD int gg_router_verdict(struct gg_router *router,
                                   const struct gg_peer *peer,
                                   const struct gg_view *view,
                                   enum gg_verdict says, struct gg_text *text);
struct gg_function *gg_function_of(struct gg_target *target);
struct gg_peer_target *gg_peer_target_of(struct gg_target *target);

#endif
