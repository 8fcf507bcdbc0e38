/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GG_ROUTER_H
#define GG_ROUTER_H

#include "gg/frame.h"
#include "gg/index.h"
#include "gg/status.h"

#include <stddef.h>
#include <stdint.h>

/* The router: one step machine that decides where every message goes and how
 * every invocation ends. It makes no system call and asks no clock: frames come
 * in, time is an argument, and what must happen next comes out as a queue of
 * outputs. One thread drives it.
 *
 * greengrass_sdk/_native/_py/router/ is the same machine in Python; its
 * docstrings explain the words (peer, endpoint, item, worker) and the rules.
 * Where a source file here has the name of a module there, the two are twins:
 * machine, work, state, events, texts.
 *
 * Memory. The machine keeps items, and so it allocates: through one struct
 * gg_memory, nowhere else. A call that returns GG_ENOMEM has changed nothing,
 * with one exception that its comment names. Other statuses: GG_EINVAL for an
 * argument that no caller should pass, GG_EENDPOINT for an endpoint that is not
 * defined, GG_ECORE when peer 0, the core, broke the contract itself. */

#define GG_CORE 0             /* the peer number of the core itself */
#define GG_NO_ROW 0xFFFFFFFFu /* a tapped message that no row matched */

/* Gives, moves and takes back memory: `block` NULL allocates, `size` 0 frees
 * and returns NULL. A failure returns NULL and leaves the block as it was. */
struct gg_memory {
    void *(*resize)(void *context, void *block, size_t size);
    void *context;
    /* Takes back a payload that was given by its handle; see router_parts.h.
     * NULL where none is. */
    void (*release)(void *owner, int handle);
    void *owner;
};

struct gg_router;

struct gg_router_options {
    const struct gg_memory *memory; /* NULL: that of the C library */
    double epoch;                   /* wall clock at monotonic time 0 */
    uint64_t work_items;            /* waiting and running, of the whole core */
    uint64_t topic_payload_bytes;   /* largest payload of a message */
    uint64_t invoke_payload_bytes;  /* ... of an invocation and its result */
    uint8_t boot[8];                /* part of every request id */
    uint8_t strict;                 /* refuse what no row matches */
    uint8_t zero[7];
};

GG_NODISCARD int gg_router_new(const struct gg_router_options *options,
                               struct gg_router **router);
void gg_router_free(struct gg_router *router);

/* Topology: what exists and where messages go. */

struct gg_rules {
    double timeout_s; /* finite and not negative, like idle_s */
    double idle_s;
    uint64_t queue_items;
    uint64_t queue_bytes;
    uint32_t max_workers;
    uint32_t pinned;
    /* Its results are for the callers alone: nobody is shown them, and they are
     * wiped where they lay. It answers by who asks: what it is given has the
     * endpoint of the caller, not its own. */
    uint32_t confidential;
    /* How many items lie with a pinned worker at most, however long its last
     * took, at 2 KiB each; 0: what suits a process. */
    uint32_t credit;
};

/* Add a function, known to callers and to its workers by `name`. Defining an
 * endpoint again replaces it, which only one that has no workers and no items
 * allows (else GG_EINVAL). */
GG_NODISCARD int gg_router_define_function(struct gg_router *router,
                                           uint32_t endpoint,
                                           const struct gg_rules *rules,
                                           const uint8_t *name, size_t size);

/* Let callers know a function by one more name. */
GG_NODISCARD int gg_router_name_function(struct gg_router *router,
                                         uint32_t endpoint, const uint8_t *name,
                                         size_t size);

/* Add an endpoint whose messages go to the one peer attached to it. An in-core
 * service is one that GG_CORE is attached to. */
GG_NODISCARD int gg_router_define_peer(struct gg_router *router,
                                       uint32_t endpoint, uint64_t queue_items,
                                       uint64_t queue_bytes);

/* One row: where it leads, its id (text[id .. id + id_size), for texts), and
 * what it counted under an older table. */
struct gg_route {
    uint64_t delivered;
    uint64_t dropped[3]; /* by enum gg_refusal, less one */
    uint32_t target;
    uint32_t row; /* filled by gg_router_counted() */
    uint32_t id;
    uint32_t id_size;
};

enum gg_refusal {
    GG_TAKEN = 0,
    GG_QUEUE_FULL = 1,
    GG_NOT_CONNECTED = 2,
    GG_ITEMS_USED_UP = 3,
    GG_UNMATCHED = 4 /* of the tap only */
};

/* The words for a value of enum gg_refusal; "" for GG_TAKEN. */
const char *gg_refusal_text(int refusal);

/* Replace the subscription table. `index` answers row numbers below `count`
 * and at most `capacity` of them, doubles included; it must live until the
 * next call of this or until the router is freed. The rest is copied. A row
 * with the id of an older one goes on with the counters of that. */
GG_NODISCARD int
gg_router_install(struct gg_router *router, const struct gg_index *index,
                  uint32_t capacity, const struct gg_route *routes,
                  uint32_t count, const uint8_t *text, size_t text_size);

/* Write the rows that counted something since they were last asked for, at
 * most `capacity`; `id` and `id_size` mean nothing here. Returns how many. */
GG_NODISCARD int gg_router_counted(struct gg_router *router,
                                   struct gg_route *rows, uint32_t capacity);

/* Refuse new invocations and ask for no more workers. */
void gg_router_stop(struct gg_router *router);

/* Hand out GG_TAPPED, and GG_FINISHED for every item. */
void gg_router_tap(struct gg_router *router, int on);

/* Peers: who is connected. Unknown peers are ignored where the Python machine
 * ignores them. Documents and reasons are copied. */

GG_NODISCARD int gg_router_attach(struct gg_router *router, uint32_t peer,
                                  uint32_t endpoint);
/* `peer` must be new (GG_EINVAL). */
GG_NODISCARD int gg_router_attach_worker(struct gg_router *router,
                                         uint32_t peer, uint32_t endpoint,
                                         double now);
GG_NODISCARD int gg_router_worker_failed(struct gg_router *router,
                                         uint32_t endpoint,
                                         const uint8_t *document, size_t size,
                                         double now);
void gg_router_close(struct gg_router *router, uint32_t peer);
GG_NODISCARD int gg_router_detach(struct gg_router *router, uint32_t peer,
                                  const uint8_t *document, size_t size,
                                  double now);
GG_NODISCARD int gg_router_cut(struct gg_router *router, uint32_t peer,
                               const uint8_t *reason, size_t size, double now);
GG_NODISCARD int gg_router_hold(struct gg_router *router, uint32_t peer,
                                int held);

/* Frames in. `frame` counts its offsets from `data`; what the machine keeps is
 * copied once. The peer is believed nothing but what a frame decoder checked.
 * A frame that breaks the contract cuts the peer off and returns GG_OK. */
GG_NODISCARD int gg_router_receive(struct gg_router *router, uint32_t peer,
                                   const uint8_t *data,
                                   const struct gg_frame *frame, double now);

/* Fire the deadlines that have come; return how many outputs wait, at most
 * INT_MAX. When memory runs out, the deadlines that were handled before stay
 * handled, and the next call goes on with the others. */
GG_NODISCARD int gg_router_step(struct gg_router *router, double now);

/* When gg_router_step() must be called at the latest; infinity for never. */
double gg_router_next_deadline(const struct gg_router *router);

/* What the core did wrong, after GG_ECORE; "" before. Not terminated; valid
 * until the next call. */
const uint8_t *gg_router_fault(const struct gg_router *router, size_t *size);

/* Outputs out, in the order in which they were decided. */

enum gg_output_type {
    GG_SEND = 1,          /* a frame for `peer` */
    GG_NEED_WORKERS = 2,  /* endpoint; id: how many */
    GG_WORKER_READY = 3,  /* peer, endpoint */
    GG_IMPORT_FAILED = 4, /* peer, endpoint; payload: error document */
    GG_RETIRE_WORKER = 5, /* peer, endpoint; code: outcome; payload: reason */
    GG_CUT_OFF = 6,       /* peer; payload: reason */
    GG_FINISHED = 7,      /* endpoint; code: outcome; the item; document */
    GG_TAPPED = 8,        /* endpoint: source; id: row; code: refusal; flags:
                             how many tables were installed, modulo 256; topic,
                             payload */
    GG_UNROUTED = 9 /* endpoint: source; topic */
};

enum gg_outcome {
    GG_ENDED_OK = 0,
    GG_ENDED_HANDLED = 1,
    GG_ENDED_UNHANDLED = 2,
    GG_ENDED_TIMEOUT = 3
};

enum { GG_ITEM_EVENT = 1, GG_ITEM_STARTED = 2 };

struct gg_bytes {
    const uint8_t *at;
    size_t size;
};

struct gg_blob; /* where the bytes of an output lie */

struct gg_output {
    uint8_t type;
    uint8_t kind;  /* of the frame, or of the item that finished */
    uint8_t flags; /* of the frame; of the item: GG_ITEM_... */
    uint8_t code;
    uint32_t peer; /* GG_FINISHED: the caller */
    uint32_t endpoint;
    uint32_t source; /* GG_FINISHED: of the item */
    uint64_t id;
    uint64_t number; /* GG_FINISHED: the caller's number for its call */
    struct gg_bytes topic, context, payload, document;
    double queued_at, started_at, now; /* GG_FINISHED */
    struct gg_blob *blob, *other;      /* the machine's own */
    uint8_t work_id[8];                /* the machine's own */
};

/* The oldest output, or NULL. It and its bytes are valid until the next call
 * of any function but this one. */
const struct gg_output *gg_router_output(struct gg_router *router);

/* Drop the oldest output. */
void gg_router_taken(struct gg_router *router);

/* What Python reads: each output as this header, for GG_FINISHED a struct
 * gg_finished, then topic, context, payload and document. */
struct gg_record {
    uint32_t size; /* of the whole record */
    uint8_t type, kind, flags, code;
    uint32_t peer, endpoint;
    uint64_t id;
    uint32_t topic, context, payload, document; /* sizes */
};

struct gg_finished {
    double queued_at, started_at, now;
    uint64_t number;
    uint32_t source, zero;
};

/* Take outputs out and write them to `buffer` as records, as many as fit;
 * *used bytes are filled. Returns how many outputs are left. When not even the
 * first one fits, returns GG_ENOSPC and writes to *used what it needs. */
GG_NODISCARD int gg_router_drain(struct gg_router *router, uint8_t *buffer,
                                 size_t size, size_t *used);

/* For status and tests. */

struct gg_router_counts {
    uint64_t items, limit, unrouted, peers, timers;
};
void gg_router_counts(const struct gg_router *router,
                      struct gg_router_counts *counts);

/* Whether a worker holds an item. */
int gg_router_is_busy(const struct gg_router *router, uint32_t peer);

/* An endpoint: a struct gg_target_state; then for a function a struct
 * gg_worker_state for each worker, in the order of attachment, a struct
 * gg_item_state for each waiting item, and the document of its last failure;
 * else the topic and the payload of each kept message, each behind its size as
 * a u32. *needed is written always; GG_ENOSPC when it is more than `size`. */
enum { GG_WAITS = 32 };

struct gg_target_state {
    uint64_t items, waiting, waiting_bytes, refused, workers;
    uint64_t outcomes[4]; /* by enum gg_outcome */
    int64_t starting;
    uint64_t idle, calls;
    uint32_t peer, is_function, connected, failure; /* failure: its size */
    /* waits[n] items waited for their start less than 2**n microseconds, and
     * at least half of that; the last one has everything above. */
    uint64_t waits[GG_WAITS];
};

struct gg_worker_state {
    double deadline, last_run_s;
    uint64_t sent, sent_bytes, running; /* running: the item's id */
    uint32_t peer, state;               /* 0 starting, 1 ready, 2 failed */
};

struct gg_item_state {
    uint64_t id, size;
    uint32_t kind, source;
};

GG_NODISCARD int gg_router_snapshot(const struct gg_router *router,
                                    uint32_t endpoint, uint8_t *buffer,
                                    size_t size, size_t *needed);

#endif
