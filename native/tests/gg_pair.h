/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GG_PAIR_H
#define GG_PAIR_H

/* Both ends of a channel in one process, each with a mapping of its own. */

#include "gg/port.h"
#include "gg_test.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct gg_pair {
    struct gg_port core;
    struct gg_port worker;
    int sockets[2]; /* core's, worker's */
    int event;
};

enum { GG_PAIR_CAPACITY = 1 << 16 };

static inline void gg_pair_open(struct gg_pair *pair, uint32_t capacity)
{
    struct gg_segment segment;
    int fd = -1;

    CHECK_INT(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
                            pair->sockets));
    CHECK_INT(GG_OK, gg_event_create(&pair->event));
    CHECK_INT(GG_OK, gg_segment_create(&segment, capacity, capacity, &fd));
    CHECK_INT(GG_OK, gg_port_init(&pair->core, &segment, GG_SIDE_CORE, -1,
                                  pair->sockets[0], 0));
    CHECK_INT(GG_OK, gg_segment_attach(&segment, fd));
    CHECK_INT(GG_OK, gg_port_init(&pair->worker, &segment, GG_SIDE_WORKER,
                                  pair->event, pair->sockets[1], 0));
    CHECK_INT(0, close(fd));
}

static inline void gg_pair_close(struct gg_pair *pair)
{
    gg_port_free(&pair->core);
    gg_port_free(&pair->worker);
    CHECK_INT(0, close(pair->sockets[0]));
    CHECK_INT(0, close(pair->sockets[1]));
    CHECK_INT(0, close(pair->event));
}

/* Send a MESSAGE or, from a worker, a PUBLISH, without blocking. */
static inline int gg_pair_send(struct gg_port *port, uint64_t id,
                               const void *payload, uint32_t size,
                               int64_t deadline)
{
    uint8_t kind = port->side == GG_SIDE_CORE ? GG_MESSAGE : GG_PUBLISH;

    return gg_port_send(port, kind, 0, 7, id, "a/b", 3, "ctx", 3, payload, size,
                        deadline);
}

/* A small generator; the seed must not be 0. */
static inline uint64_t gg_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Bytes that tell which message they belong to. */
static inline void gg_fill(uint8_t *bytes, uint32_t size, uint64_t number)
{
    for (uint32_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(number * 31 + i * 7);
}

static inline int gg_is_filled(const uint8_t *bytes, uint32_t size,
                               uint64_t number)
{
    for (uint32_t i = 0; i < size; i++)
        if (bytes[i] != (uint8_t)(number * 31 + i * 7))
            return 0;
    return 1;
}

#endif
