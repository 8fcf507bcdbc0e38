/* SPDX-License-Identifier: Apache-2.0 */
/* Beside rings: the same round trip over Unix stream sockets, and what large
 * messages cost as sealed memfds, part by part. */
#include "gg_bench.h"

enum { SIZE = 24 + 25 + 64, WARM_UP = 500 };

static void pass(int from, int to)
{
    char bytes[SIZE];

    MUST(recv(from, bytes, SIZE, MSG_WAITALL) == SIZE);
    MUST(send(to, bytes, SIZE, MSG_NOSIGNAL) == SIZE);
}

static void round_trips(const struct pins *pins, int turns)
{
    int64_t *times;
    char bytes[SIZE] = {0};
    char name[80];
    int client[2];
    int server[2];
    int status = 0;
    pid_t children[3];

    (void)snprintf(name, sizeof name, "roundtrip/socket/%s", pins->name);
    if (!wanted(name))
        return;
    times = shared_times(turns);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, client) == 0);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, server) == 0);
    if ((children[0] = start(pins->server)) == 0)
        for (;;)
            pass(server[1], server[1]);
    if ((children[1] = start(pins->router)) == 0)
        for (;;) {
            pass(client[1], server[0]);
            pass(server[0], client[1]);
        }
    if ((children[2] = start(pins->client)) == 0) {
        for (int i = -WARM_UP; i < turns; i++) {
            int64_t begun = gg_clock();

            MUST(send(client[0], bytes, SIZE, MSG_NOSIGNAL) == SIZE);
            MUST(recv(client[0], bytes, SIZE, MSG_WAITALL) == SIZE);
            if (i >= 0)
                times[i] = gg_clock() - begun;
        }
        _exit(0);
    }
    MUST(waitpid(children[2], &status, 0) == children[2] && status == 0);
    finish_child(children[0]);
    finish_child(children[1]);
    row_of_times(name, times, turns);
    for (int i = 0; i < 2; i++) {
        (void)close(client[i]);
        (void)close(server[i]);
    }
    (void)munmap(times, (size_t)turns * sizeof *times);
}

void bench_sockets(int turns)
{
    static const struct pins one = {"one", 0, 0, 0};
    static const struct pins two = {"two", 0, 1, 1};
    static const struct pins any = {"any", -1, -1, -1};

    round_trips(&one, turns);
    round_trips(&any, turns);
    if (gg_cpus() > 1)
        round_trips(&two, turns);
}

/* --- large messages --- */

static void bulk(uint32_t size)
{
    enum { ROUNDS = 41 };
    static int64_t parts[4][ROUNDS];
    static const char *names[] = {"create", "pass", "read", "whole"};
    uint8_t *data = malloc(size);
    uint8_t *back = malloc(size);
    uint8_t bytes[GG_FRAME_HEADER];
    int sockets[2];

    MUST(data != NULL && back != NULL);
    memset(data, 1, size);
    memset(back, 2, size);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        int64_t times[5];
        int fd = -1;
        int got = -1;

        times[0] = gg_clock();
        MUST(gg_bulk_create(data, size, &fd) == GG_OK);
        times[1] = gg_clock();
        MUST(gg_bulk_send(sockets[0], fd, 1) == GG_OK);
        (void)close(fd);
        MUST(gg_bulk_receive(sockets[1], bytes, sizeof bytes, &got) == 24);
        times[2] = gg_clock();
        MUST(gg_bulk_read(got, size, back) == GG_OK);
        times[3] = gg_clock();
        (void)close(got);
        times[4] = gg_clock();
        for (int i = 0; i < 3; i++)
            parts[i][round] = times[i + 1] - times[i];
        parts[3][round] = times[4] - times[0];
    }
    for (int i = 0; i < 4; i++) {
        char name[60];

        (void)snprintf(name, sizeof name, "bulk/%u/%s", size, names[i]);
        row_of_times(name, parts[i], ROUNDS);
    }
    (void)close(sockets[0]);
    (void)close(sockets[1]);
    free(data);
    free(back);
}

void bench_bulk(void)
{
    bulk(1 << 18);
    bulk(1 << 20);
    bulk(6 << 20);
}
