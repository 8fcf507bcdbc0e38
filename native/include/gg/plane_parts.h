/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GG_PLANE_PARTS_H
#define GG_PLANE_PARTS_H

/* The inside of the plane, shared by src/gg_plane*.c and nobody else. Every
 * function here wants the lock, except gg_plane_enter(). */

#include "gg/plane.h"
#include "gg/router_parts.h"

#include <pthread.h>

enum {
    GG_BATCH_FRAMES = 64,
    GG_BATCH_BYTES = 262144,
    GG_CONTROL_MOST = 65536, /* of a frame on a socket, header included */
    GG_CONTROL_WAITING = 4 * GG_CONTROL_MOST, /* in the inbox, of one peer */
    GG_HANDLES_MOST = 128, /* of payloads that stay in their descriptors */
    GG_WAKES_MOST = 1024,  /* for nothing, in a row */
    GG_WAKES_A_SECOND = 64,
    GG_LOOK_NS = 50000, /* how soon who is lively is looked at again */
    GG_WORTH_MOST = 16,
    GG_WORTH_LEADING = 8,
    GG_WORTH_OF_NEWS = 2
};

/* What an event of the epoll set is about: twice the number of a link, and 1
 * for its socket; or this. */
#define GG_COMMAND UINT64_MAX
#define GG_OWNED (UINT64_MAX - 1) /* the set of the owner */

/* A ring peer. Stands in one of the plane's lists, or in none while it sleeps:
 * then its park word says so, and the edge of its eventfd ends that. */
struct gg_link {
    struct gg_node place;
    struct gg_node touch; /* among those that the turn put frames out for */
    struct gg_list *in;
    struct gg_port port;
    uint32_t number;
    int socket; /* ours */
    int event;  /* ours; the worker has a descriptor of its own */

    /* What waits until there is room in its ring, in order. */
    struct gg_outputs overflow;
    uint64_t overflow_bytes;

    /* The batch that is being received; it is kept when memory runs out. */
    struct gg_port_view views[GG_BATCH_FRAMES];
    int at, count;

    /* Off the socket: the beginning of a frame, and the descriptors of bulk
     * messages in order of their numbers, which count from 1. */
    uint8_t *tail;
    size_t tail_size;
    int bulk[GG_BULK_IN_FLIGHT];
    uint32_t bulk_descriptors, bulk_numbers, bulk_used;

    uint64_t control_bytes; /* in the inbox */

    /* Wake-ups for nothing that it may still cause; see earn(). */
    double wakes;
    double wakes_at;
    uint64_t wakes_wasted;

    /* Who is lively is looked at again soon, at `look_at`, and spared waking us
     * for each frame; see park(). */
    int64_t look_at;
    double published_at; /* when it last did */

    uint8_t attached; /* the router knows it: its ring is read */
    uint8_t touched;
    uint8_t held;     /* by gg_router_hold() */
    uint8_t woken;    /* it asked to be looked at */
    uint8_t lively;   /* more will come, as it looked since it was last parked */
    uint8_t ended;    /* its socket */
    uint8_t over;     /* dead: to be freed before the lock is given up */
};

struct gg_plane {
    pthread_mutex_t gate;    /* held by who is next */
    pthread_mutex_t machine; /* of all below */
    struct gg_memory memory;
    struct gg_router *router;
    struct gg_table links; /* number: struct gg_link */

    struct gg_list active;  /* to be served, in turn */
    struct gg_list soon;    /* to be served again in a moment, in that order */
    struct gg_list blocked; /* to be served again at `retry_at` */
    struct gg_list touched;
    struct gg_list dead;

    struct gg_outputs inbox;
    uint64_t inbox_bytes, inbox_limit;
    uint64_t unread_limit;
    uint32_t handles; /* of payloads, in the router and in what it put out */
    int fault;       /* for gg_plane_take() */
    uint8_t told;    /* `news` is readable, or will be in a moment */
    gg_atomic waits; /* whether gg_plane_take() would hand out something */
    uint8_t crowded; /* the peers that the owner drives are held */
    uint8_t stopping;
    uint8_t asleep; /* who makes the rounds, until `sleeps_until` */
    uint8_t retry;  /* something is to be tried again at `retry_at` */
    double sleeps_until;
    double retry_at;

    /* The owner makes the rounds, though it may be away for a moment. */
    uint8_t led;
    uint8_t here;       /* the thread waits for events, or soon will */
    uint8_t worth; /* of that: more when it takes news, less for its own set */
    int64_t away_since; /* 0 while the owner waits */
    int64_t relief_at;  /* when `relief` fires; 0: never */
    int64_t held_until; /* the thread makes them until then */
    int owned;          /* its epoll set */

    int epoll;
    int command; /* wakes who makes the rounds */
    int relief;  /* a timer: wakes the thread while the owner makes them */
    int news;    /* tells the owner */

    uint8_t scratch[2 * GG_CONTROL_MOST]; /* what is read off a socket */
};

/* The plane: gg_plane.c */

struct gg_router *gg_plane_enter(struct gg_plane *plane);
/* Make the turn and give the lock up; hands `status` through. */
int gg_plane_leave(struct gg_plane *plane, int status);
/* Move all outputs of the router where they belong. */
void gg_plane_turn(struct gg_plane *plane);
/* Put an output of the plane's own into the inbox, zeroed but for its type;
 * NULL when memory ran out. gg_plane_added() completes it. */
struct gg_output *gg_plane_add(struct gg_plane *plane, uint8_t type);
void gg_plane_added(struct gg_plane *plane, const struct gg_output *output);
/* GG_HAS_NEWS if the owner has something to take, else 0. */
int gg_plane_has_news(const struct gg_plane *plane);
/* Wake who makes the rounds. */
void gg_plane_rouse(struct gg_plane *plane);
/* Have it look again soon, because something was short. */
void gg_plane_retry(struct gg_plane *plane);
/* Seconds, as the router counts them. */
double gg_plane_now(void);

/* Ring peers, sending: gg_plane_send.c */

struct gg_link *gg_plane_link(const struct gg_plane *plane, uint32_t number);
void gg_link_move(struct gg_link *link, struct gg_list *list);
/* Send the first of `outputs`, or have it wait; it is taken out. GG_ENOMEM:
 * nothing was done. */
GG_NODISCARD int gg_link_put(struct gg_plane *plane, struct gg_link *link,
                             struct gg_outputs *outputs);
/* Whether a frame of this length needs no descriptor. */
int gg_link_takes_inline(const struct gg_link *link, uint64_t length);
/* Show the peer what was put; send what waits, or see to it that room for it
 * wakes the thread. */
void gg_link_settle(struct gg_plane *plane, struct gg_link *link);
/* Cut it off for a status, a sentence, or a text that is dropped. */
void gg_link_break(struct gg_plane *plane, struct gg_link *link,
                   const char *what, int status);
void gg_link_cut(struct gg_plane *plane, struct gg_link *link,
                 struct gg_text *text);
/* Leave it alone for a moment: it did not fail, the core is short of something. */
void gg_link_block(struct gg_plane *plane, struct gg_link *link);
/* The room that what waits for it needs, as gg_port_park() takes it. */
uint32_t gg_link_need(const struct gg_link *link);
/* Have nothing more to do with it; it is freed when the lock is given up. */
void gg_link_bury(struct gg_plane *plane, struct gg_link *link);
void gg_link_free(struct gg_plane *plane, struct gg_link *link);

/* Ring peers, receiving: gg_plane_receive.c */

/* Receive one batch; returns how many frames. */
int gg_link_receive(struct gg_plane *plane, struct gg_link *link);
/* Read the socket once. Returns whether anything came. */
int gg_link_read(struct gg_plane *plane, struct gg_link *link);
/* Serve a link of the active list, then put it where it belongs; returns how
 * many frames were received. */
int gg_link_serve(struct gg_plane *plane, struct gg_link *link);
/* Serve it soon: it asked for it. */
void gg_link_wake(struct gg_plane *plane, struct gg_link *link);
/* Count that it woke us for nothing. */
void gg_link_waste(struct gg_plane *plane, struct gg_link *link);

#endif
