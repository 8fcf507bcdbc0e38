/* SPDX-License-Identifier: Apache-2.0 */
#include "gg/port.h"
#include "gg_pair.h"
#include "gg_test.h"

#include <sys/mman.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <sys/wait.h>

enum { MS = 1000000, CAPACITY = GG_PAIR_CAPACITY, LARGE = 1000000 };

static int64_t in_ms(int64_t ms)
{
    return gg_clock() + ms * MS;
}

static int get_batch(struct gg_port *port, struct gg_port_view *views,
                     uint32_t capacity)
{
    return gg_port_receive_batch(port, views, capacity, UINT32_MAX, 0, 0);
}

/* Receive one frame, check its payload, give it back. */
static int get(struct gg_port *port, uint64_t *id)
{
    static struct gg_received received;
    int status = gg_port_receive(port, &received);

    if (status != GG_OK)
        return status;
    CHECK_INT(0, received.bulk.size);
    CHECK(gg_is_filled(received.payload, received.payload_size,
                       received.header.id));
    *id = received.header.id;
    gg_port_release(port);
    return GG_OK;
}

static int put(struct gg_port *port, uint64_t id, uint32_t size,
               int64_t deadline)
{
    uint8_t payload[CAPACITY / 2];

    gg_fill(payload, size, id);
    return gg_pair_send(port, id, payload, size, deadline);
}

TEST(a_frame_arrives_with_all_its_fields)
{
    struct gg_received received;
    struct gg_pair pair;
    struct gg_port_view view;
    const uint8_t *data;
    uint32_t size = 0;

    gg_pair_open(&pair, CAPACITY);
    for (int side = 0; side < 2; side++) {
        struct gg_port *from = side ? &pair.core : &pair.worker;
        struct gg_port *to = side ? &pair.worker : &pair.core;

        CHECK_INT(GG_AGAIN, gg_port_receive(to, &received));
        for (int i = 0; i < 2; i++)
            CHECK_INT(GG_OK, gg_port_send(from, GG_INVOKE, 1, 0xA1B2C3D4, 77,
                                          "f/g", 3, "{}", 2, "hello", 5, 0));
        CHECK_INT(GG_OK, gg_port_receive(to, &received));
        CHECK_INT(77, received.header.id);
        CHECK_INT(GG_INVOKE, received.header.kind);
        CHECK_INT(1, received.header.flags);
        CHECK_INT(0xA1B2C3D4, received.header.endpoint);
        CHECK(memcmp(received.topic, "f/g", 3) == 0);
        CHECK(memcmp(received.context, "{}", 2) == 0);
        CHECK_INT(5, received.payload_size);
        CHECK(memcmp(received.payload, "hello", 5) == 0);
        gg_port_release(to);
        CHECK_INT(1, get_batch(to, &view, 1));
        data = gg_port_data(to, &size);
        CHECK_INT(2 * CAPACITY, size);
        CHECK(memcmp(data + view.topic, "f/g{}hello", 10) == 0);
        CHECK_INT(view.topic + 3, view.context);
        CHECK_INT(view.topic + 5, view.payload);
        CHECK_INT(view.topic + 10, view.end);
        CHECK_INT(77, view.id);
        CHECK_INT(0xA1B2C3D4, view.endpoint);
        CHECK_INT(GG_INVOKE, view.kind);
        CHECK_INT(1, view.flags);
        gg_port_release(to);
    }
    gg_pair_close(&pair);
}

TEST(a_frame_that_breaks_the_format_is_not_sent)
{
    struct gg_pair pair;
    struct gg_port_view view;
    static const char zeros[GG_MAX_CONTEXT + 1];

    gg_pair_open(&pair, CAPACITY);
    CHECK_INT(GG_EKIND, gg_port_send(&pair.worker, 0, 0, 0, 0, "", 0, "", 0,
                                     "", 0, 0));
    CHECK_INT(GG_EFLAGS, gg_port_send(&pair.worker, GG_MESSAGE, 1, 0, 0, "", 0,
                                      "", 0, "", 0, 0));
    CHECK_INT(GG_ETOPIC, gg_port_send(&pair.worker, GG_MESSAGE, 0, 0, 0, zeros,
                                      513, "", 0, "", 0, 0));
    CHECK_INT(GG_ECONTEXT,
              gg_port_send(&pair.worker, GG_MESSAGE, 0, 0, 0, "", 0, zeros,
                           GG_MAX_CONTEXT + 1, "", 0, 0));
    CHECK_INT(GG_ELENGTH, gg_port_send(&pair.worker, GG_MESSAGE, 0, 0, 0, "", 0,
                                       "", 0, "", GG_BULK_MOST + 1, 0));
    /* Half this ring has no room for such a context. */
    CHECK_INT(GG_ELENGTH, gg_port_send(&pair.worker, GG_MESSAGE, 0, 0, 0, "", 0,
                                       zeros, GG_MAX_CONTEXT, "", 0, 0));
    CHECK_INT(GG_AGAIN, get_batch(&pair.core, &view, 1));
    gg_pair_close(&pair);
}

TEST(empty_parts_may_be_null)
{
    struct gg_pair pair;
    struct gg_port_view view;

    gg_pair_open(&pair, CAPACITY);
    CHECK_INT(GG_OK, gg_port_send(&pair.worker, GG_READY, 0, 0, 0, NULL, 0,
                                  NULL, 0, NULL, 0, 0));
    CHECK_INT(1, get_batch(&pair.core, &view, 1));
    CHECK_INT(view.topic, view.end);
    gg_port_release(&pair.core);
    gg_pair_close(&pair);
}

TEST(a_batch_holds_one_frame_and_then_no_more_bytes_than_asked_for)
{
    struct gg_pair pair;
    struct gg_port_view views[8];

    gg_pair_open(&pair, CAPACITY);
    for (uint64_t id = 0; id < 6; id++) /* 24 + 3 + 3 + 70 = 100 bytes */
        CHECK_INT(GG_OK, put(&pair.core, id, 70, 0));
    CHECK_INT(1, gg_port_receive_batch(&pair.worker, views, 8, 1, 0, 0));
    CHECK_INT(GG_EINVAL, get_batch(&pair.worker, views, 8));
    gg_port_release(&pair.worker);
    CHECK_INT(2, gg_port_receive_batch(&pair.worker, views, 8, 299, 0, 0));
    CHECK_INT(1, views[0].id);
    gg_port_release(&pair.worker);
    CHECK_INT(2, get_batch(&pair.worker, views, 2));
    CHECK_INT(4, views[1].id);
    gg_port_release(&pair.worker);
    CHECK_INT(1, get_batch(&pair.worker, views, 8));
    gg_port_release(&pair.worker);
    CHECK_INT(GG_AGAIN, get_batch(&pair.worker, views, 8));
    CHECK_INT(GG_EINVAL, get_batch(&pair.worker, views, 0));
    gg_port_release(&pair.worker); /* of nothing */
    gg_pair_close(&pair);
}

TEST(a_full_ring_says_so_and_takes_more_after_a_release)
{
    struct gg_pair pair;
    uint64_t id = 0;
    uint64_t sent = 0;
    uint64_t got = 0;
    int status;

    gg_pair_open(&pair, CAPACITY);
    while ((status = put(&pair.core, sent, 1000, 0)) == GG_OK)
        sent++;
    CHECK_INT(GG_AGAIN, status);
    CHECK_INT(CAPACITY / 1030, sent);
    for (int i = 0; i < 500; i++) {
        CHECK_INT(GG_OK, get(&pair.worker, &id));
        CHECK_INT(got++, id);
        CHECK_INT(GG_OK, put(&pair.core, sent++, 1000, 0));
    }
    /* The core never sleeps, whatever it is told. */
    CHECK_INT(GG_AGAIN, put(&pair.core, 0, 1000, GG_FOREVER));
    gg_pair_close(&pair);
}

TEST(a_burst_is_seen_when_it_is_flushed_or_overtaken)
{
    static const struct gg_header header = {
        .id = 1, .length = 24 + 3 + 5, .topic_size = 3, .kind = GG_MESSAGE};
    struct gg_header long_one = header;
    struct gg_pair pair;
    struct gg_port_view views[4];

    gg_pair_open(&pair, CAPACITY);
    for (int i = 0; i < 2; i++)
        CHECK_INT(GG_OK,
                  gg_port_stage(&pair.core, &header, "a/b", NULL, "hello"));
    CHECK_INT(GG_AGAIN, get_batch(&pair.worker, views, 4));
    CHECK_INT(GG_OK, gg_port_flush(&pair.core));
    CHECK_INT(GG_OK, gg_port_flush(&pair.core));
    CHECK_INT(2, get_batch(&pair.worker, views, 4));
    CHECK_INT(views[0].topic + 8, views[0].end);
    gg_port_release(&pair.worker);
    CHECK_INT(GG_OK, gg_port_stage(&pair.core, &header, "a/b", NULL, "hello"));
    CHECK_INT(GG_OK, put(&pair.core, 2, 10, 0));
    CHECK_INT(2, get_batch(&pair.worker, views, 4));
    CHECK_INT(2, views[1].id);
    gg_port_release(&pair.worker);
    long_one.length = CAPACITY / 2 + 1;
    CHECK_INT(GG_ELENGTH, gg_port_stage(&pair.core, &long_one, "a/b", NULL,
                                        "hello"));
    gg_pair_close(&pair);
}

TEST(a_large_payload_does_not_take_back_what_was_staged)
{
    static const struct gg_header header = {
        .id = 1, .length = 24 + 3, .topic_size = 3, .kind = GG_MESSAGE};
    static const uint8_t zeros[CAPACITY / 2];
    struct gg_pair pair;
    struct gg_port_view view;

    gg_pair_open(&pair, CAPACITY);
    CHECK_INT(GG_OK, gg_port_stage(&pair.core, &header, "a/b", NULL, NULL));
    CHECK_INT(0, shutdown(pair.sockets[0], SHUT_WR));
    CHECK_INT(GG_ECLOSED,
              gg_port_send(&pair.core, GG_MESSAGE, 0, 0, 2, "", 0, "", 0,
                           zeros, sizeof zeros, 0));
    CHECK_INT(1, get_batch(&pair.worker, &view, 1));
    CHECK_INT(1, view.id);
    gg_port_release(&pair.worker);
    gg_pair_close(&pair);
}

/* --- sleeping --- */

struct job {
    struct gg_port *port;
    uint64_t id;
    int status;
};

static void *send_blocking(void *argument)
{
    struct job *job = argument;

    do {
        job->status = put(job->port, job->id, 1000, in_ms(20000));
    } while (job->status == GG_EINTR);
    return NULL;
}

static void *receive_blocking(void *argument)
{
    struct job *job = argument;
    struct gg_port_view view;

    do {
        job->status = gg_port_receive_batch(job->port, &view, 1, 1,
                                            in_ms(20000), 0);
    } while (job->status == GG_EINTR);
    if (job->status > 0) {
        job->id = view.id;
        gg_port_release(job->port);
    }
    return NULL;
}

/* Return when somebody sleeps at this end. */
static void await_sleeper(struct gg_port *port)
{
    while (gg_load_seq(&port->mine->word) == 0)
        (void)sched_yield();
}

TEST(a_sender_sleeps_until_there_is_room)
{
    struct gg_pair pair;
    struct job job = {&pair.worker, 99, 0};
    pthread_t thread;
    uint64_t id = 0;

    gg_pair_open(&pair, CAPACITY);
    while (put(&pair.worker, 0, 1000, 0) == GG_OK)
        ;
    CHECK_INT(0, pthread_create(&thread, NULL, send_blocking, &job));
    await_sleeper(&pair.worker);
    while (id != 99) {
        int status = get(&pair.core, &id);

        if (status == GG_AGAIN)
            (void)sched_yield();
        else
            CHECK_INT(GG_OK, status);
    }
    CHECK_INT(0, pthread_join(thread, NULL));
    CHECK_INT(GG_OK, job.status);
    gg_pair_close(&pair);
}

TEST(a_receiver_sleeps_until_there_is_a_frame)
{
    struct gg_pair pair;
    struct job job = {&pair.worker, 0, 0};
    pthread_t thread;

    gg_pair_open(&pair, CAPACITY);
    CHECK_INT(0, pthread_create(&thread, NULL, receive_blocking, &job));
    await_sleeper(&pair.worker);
    CHECK_INT(GG_OK, put(&pair.core, 5, 10, 0));
    CHECK_INT(0, pthread_join(thread, NULL));
    CHECK_INT(1, job.status);
    CHECK_INT(5, job.id);
    CHECK_INT(0, gg_load_seq(&pair.worker.mine->word));
    gg_pair_close(&pair);
}

TEST(a_wait_ends_at_its_deadline)
{
    struct gg_pair pair;
    struct gg_port_view view;

    gg_pair_open(&pair, CAPACITY);
    CHECK_INT(GG_ETIMEOUT, gg_port_receive_batch(&pair.worker, &view, 1, 1,
                                                 in_ms(10), 0));
    CHECK_INT(GG_ETIMEOUT, gg_port_receive_batch(&pair.worker, &view, 1, 1,
                                                 in_ms(10), 1));
    while (put(&pair.worker, 0, 1000, 0) == GG_OK)
        ;
    CHECK_INT(GG_ETIMEOUT, put(&pair.worker, 0, 1000, in_ms(10)));
    CHECK_INT(GG_EINVAL, gg_port_wait(&pair.core, GG_WANT_DATA, 0, 0, 1, 0));
    CHECK_INT(GG_EINVAL, gg_port_wait(&pair.worker, 0, 0, 0, 1, 0));
    gg_pair_close(&pair);
}

static void on_alarm(int number)
{
    (void)number;
}

TEST(a_signal_ends_a_wait)
{
    struct gg_pair pair;
    struct gg_port_view view;
    struct itimerval soon = {.it_value = {.tv_usec = 20000}};
    struct sigaction action = {.sa_handler = on_alarm};

    gg_pair_open(&pair, CAPACITY);
    CHECK_INT(0, sigaction(SIGALRM, &action, NULL));
    CHECK_INT(0, setitimer(ITIMER_REAL, &soon, NULL));
    CHECK_INT(GG_EINTR, gg_port_receive_batch(&pair.worker, &view, 1, 1,
                                              in_ms(20000), 0));
    gg_pair_close(&pair);
}

TEST(an_interrupt_is_not_lost_though_it_comes_before_the_wait)
{
    struct gg_pair pair;
    uint32_t alarms;

    gg_pair_open(&pair, CAPACITY);
    alarms = gg_port_alarms(&pair.worker);
    CHECK_INT(GG_OK, gg_port_interrupt(&pair.worker));
    CHECK_INT(GG_EINTR, gg_port_wait(&pair.worker, GG_WANT_DATA, 0, alarms,
                                     GG_FOREVER, 0));
    CHECK_INT(GG_ETIMEOUT,
              gg_port_wait(&pair.worker, GG_WANT_DATA, 0,
                           gg_port_alarms(&pair.worker), in_ms(1), 0));
    gg_pair_close(&pair);
}

TEST(news_of_the_socket_end_a_wait_until_they_are_heard)
{
    struct gg_pair pair;

    gg_pair_open(&pair, CAPACITY);
    CHECK_INT(0, gg_port_hear(&pair.worker));
    CHECK_INT(GG_OK, gg_port_tell(&pair.core));
    for (int i = 0; i < 2; i++)
        CHECK_INT(GG_WANT_SOCKET, gg_port_wait(&pair.worker, GG_WANT_DATA, 0, 0,
                                               GG_FOREVER, 0));
    CHECK_INT(1, gg_port_hear(&pair.worker));
    CHECK_INT(0, gg_port_hear(&pair.worker));
    CHECK_INT(GG_ETIMEOUT, gg_port_wait(&pair.worker, GG_WANT_DATA, 0, 0,
                                        in_ms(1), 0));
    gg_pair_close(&pair);
}

TEST(a_core_that_is_gone_is_noticed_without_a_wake_up)
{
    struct gg_pair pair;

    gg_pair_open(&pair, CAPACITY);
    CHECK_INT(0, shutdown(pair.sockets[0], SHUT_RDWR));
    CHECK_INT(GG_WANT_SOCKET,
              gg_port_wait(&pair.worker, GG_WANT_DATA, 0, 0, GG_FOREVER, 0));
    gg_pair_close(&pair);
}

TEST(the_core_parks_and_its_event_rings_once)
{
    struct gg_pair pair;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    int watcher = epoll_create1(EPOLL_CLOEXEC);
    uint64_t id = 0;

    gg_pair_open(&pair, CAPACITY);
    CHECK_INT(0, epoll_ctl(watcher, EPOLL_CTL_ADD, pair.event, &event));
    CHECK_INT(GG_OK, put(&pair.worker, 1, 1, 0));
    CHECK_INT(0, epoll_wait(watcher, &event, 1, 0)); /* it is awake */
    CHECK_INT(GG_WANT_DATA, gg_port_park(&pair.core, GG_WANT_DATA, 0));
    CHECK_INT(GG_OK, get(&pair.core, &id));
    CHECK_INT(GG_AGAIN, gg_port_park(&pair.core, GG_WANT_DATA, 0));
    CHECK_INT(GG_OK, put(&pair.worker, 2, 1, 0));
    CHECK_INT(GG_OK, put(&pair.worker, 3, 1, 0));
    CHECK_INT(1, epoll_wait(watcher, &event, 1, 0));
    CHECK_INT(0, epoll_wait(watcher, &event, 1, 0));
    CHECK_INT(0, close(watcher));
    gg_pair_close(&pair);
}

static int put_soon(struct gg_port *port, uint64_t id)
{
    uint8_t payload;

    gg_fill(&payload, 1, id);
    return gg_port_send(port, GG_PUBLISH, 0, 0, id, "t", 1, NULL, 0, &payload,
                        1, GG_SOON);
}

TEST(a_core_that_looks_soon_is_woken_for_what_somebody_waits_for)
{
    struct gg_pair pair;
    uint64_t ring = 0;
    uint64_t id = 0;

    gg_pair_open(&pair, CAPACITY);
    CHECK_INT(GG_AGAIN, gg_port_park(&pair.core, GG_WANT_SOON, 0));
    CHECK_INT(GG_OK, put_soon(&pair.worker, 1));
    CHECK_INT(-1, read(pair.event, &ring, sizeof ring));
    CHECK_INT(GG_OK, put(&pair.worker, 2, 1, 0));
    CHECK_INT(8, read(pair.event, &ring, sizeof ring));
    CHECK_INT(GG_WANT_DATA, gg_port_park(&pair.core, GG_WANT_SOON, 0));
    for (uint64_t i = 1; i <= 2; i++) {
        CHECK_INT(GG_OK, get(&pair.core, &id));
        CHECK_INT(i, id);
    }
    CHECK_INT(GG_AGAIN, gg_port_park(&pair.core, GG_WANT_SOON, 0));
    CHECK_INT(GG_OK, gg_port_tell(&pair.worker));
    CHECK_INT(8, read(pair.event, &ring, sizeof ring));
    CHECK_INT(1, gg_port_hear(&pair.core));
    CHECK_INT(GG_AGAIN, gg_port_park(&pair.core, GG_WANT_DATA, 0));
    CHECK_INT(GG_OK, put_soon(&pair.worker, 3)); /* it would not look */
    CHECK_INT(8, read(pair.event, &ring, sizeof ring));
    gg_pair_close(&pair);
}

TEST(what_may_come_soon_does_not_wait_for_room)
{
    struct gg_pair pair;
    uint64_t sent = 0;

    gg_pair_open(&pair, CAPACITY);
    while (put_soon(&pair.worker, sent) == GG_OK)
        sent++;
    CHECK(sent > CAPACITY / 32 - 2);
    CHECK_INT(GG_AGAIN, put_soon(&pair.worker, sent));
    gg_pair_close(&pair);
}

TEST(the_core_hears_of_room_when_half_the_ring_is_free)
{
    struct gg_pair pair;
    uint64_t id = 0;
    uint64_t sent = 0;

    gg_pair_open(&pair, CAPACITY);
    while (put(&pair.core, sent, 1000, 0) == GG_OK)
        sent++;
    CHECK_INT(GG_AGAIN, gg_port_park(&pair.core, GG_WANT_ROOM, 1030));
    for (uint64_t i = 0; i <= sent / 2 + 1; i++) {
        uint64_t ring = 0;
        int free = (int)(CAPACITY - (sent - i) * 1030);

        if (free < CAPACITY / 2)
            CHECK_INT(-1, read(pair.event, &ring, sizeof ring));
        if (i == sent / 2 + 1)
            CHECK_INT(8, read(pair.event, &ring, sizeof ring));
        CHECK_INT(GG_OK, get(&pair.worker, &id));
    }
    gg_pair_close(&pair);
}

TEST(a_worker_that_polls_gets_a_frame_on_its_socket)
{
    struct gg_pair pair;
    uint8_t bytes[100];
    int fd = -1;

    gg_pair_open(&pair, CAPACITY);
    CHECK_INT(GG_AGAIN,
              gg_port_park(&pair.worker, GG_WANT_DATA | GG_WANT_SOCKET, 0));
    CHECK_INT(GG_OK, put(&pair.core, 1, 1, 0));
    CHECK_INT(GG_OK, put(&pair.core, 2, 1, 0));
    CHECK_INT(GG_FRAME_HEADER,
              gg_bulk_receive(pair.sockets[1], bytes, 100, &fd));
    CHECK_INT(GG_AGAIN, gg_bulk_receive(pair.sockets[1], bytes, 100, &fd));
    gg_pair_close(&pair);
}

/* --- bulk --- */

static void take_bulk(struct gg_pair *pair, struct gg_port *to, uint64_t number)
{
    uint8_t *payload = malloc(LARGE);
    uint8_t bytes[GG_FRAME_HEADER];
    struct gg_received received;
    int fd = -1;

    CHECK(payload != NULL);
    CHECK_INT(GG_OK, gg_port_receive(to, &received));
    CHECK_INT(LARGE, received.bulk.size);
    CHECK_INT(number, received.bulk.number);
    CHECK(memcmp(received.topic, "a/b", 3) == 0);
    CHECK(memcmp(received.context, "ctx", 3) == 0);
    CHECK_INT(24, gg_bulk_receive(pair->sockets[to->side == GG_SIDE_WORKER],
                                  bytes, 24, &fd));
    CHECK_INT(GG_OK, gg_bulk_read(fd, LARGE, payload));
    CHECK(gg_is_filled(payload, LARGE, received.header.id));
    CHECK_INT(0, close(fd));
    gg_port_release(to);
    free(payload);
}

/* Lend 5 bytes behind "so ". */
static int lend(struct gg_port *port, uint8_t kind)
{
    const struct gg_header header = {
        .id = 6, .context_size = 3, .topic_size = 3, .kind = kind};
    const struct gg_lent lent = {2, "so ", 3};
    int fd = memfd_create("file", MFD_CLOEXEC);
    int status;

    CHECK_INT(7, write(fd, "xxhello", 7));
    status = gg_port_pass(port, &header, "a/b", "ctx", fd, 5, &lent);
    CHECK_INT(0, close(fd));
    return status;
}

TEST(the_core_lends_a_worker_bytes_of_a_file)
{
    struct gg_received received;
    uint8_t bytes[GG_FRAME_HEADER];
    struct gg_pair pair;
    int fd = -1;

    gg_pair_open(&pair, CAPACITY);
    CHECK_INT(GG_OK, lend(&pair.core, GG_RESULT));
    CHECK_INT(GG_OK, gg_port_receive(&pair.worker, &received));
    CHECK_INT(5, received.bulk.size);
    CHECK_INT(1, received.bulk.number);
    CHECK_INT(3 + GG_LENT_SIZE, received.payload_size);
    CHECK(memcmp("so \5\0\0\0\1\0\0\0\2\0\0\0\0\0\0\0",
                 received.payload, received.payload_size) == 0);
    gg_port_release(&pair.worker);
    CHECK_INT(24, gg_bulk_receive(pair.sockets[1], bytes, 24, &fd));
    gg_lent_read(fd, 2, 5, bytes);
    CHECK(memcmp("hello", bytes, 5) == 0);
    CHECK_INT(GG_EBULK, gg_bulk_check(fd, 7)); /* it is no message by itself */
    CHECK_INT(0, close(fd));
    gg_pair_close(&pair);
}

TEST(nobody_else_lends_and_nothing_else_is_lent)
{
    struct gg_received received;
    struct gg_pair pair;

    gg_pair_open(&pair, CAPACITY);
    CHECK_INT(GG_OK, lend(&pair.worker, GG_RESULT));
    CHECK_INT(GG_EBULK, gg_port_receive(&pair.core, &received));
    gg_pair_close(&pair);
    gg_pair_open(&pair, CAPACITY);
    CHECK_INT(GG_OK, lend(&pair.core, GG_MESSAGE));
    CHECK_INT(GG_EBULK, gg_port_receive(&pair.worker, &received));
    gg_pair_close(&pair);
}

static int send_bulk(struct gg_port *port, uint64_t id)
{
    uint8_t *payload = malloc(LARGE);
    int status;

    CHECK(payload != NULL);
    gg_fill(payload, LARGE, id);
    status = gg_pair_send(port, id, payload, LARGE, 0);
    free(payload);
    return status;
}

TEST(large_payloads_travel_as_descriptors_in_order)
{
    struct gg_pair pair;
    uint64_t id = 0;

    gg_pair_open(&pair, CAPACITY);
    for (int side = 0; side < 2; side++) {
        struct gg_port *from = side ? &pair.core : &pair.worker;
        struct gg_port *to = side ? &pair.worker : &pair.core;

        CHECK_INT(GG_OK, put(from, 1, 10, 0));
        CHECK_INT(GG_OK, send_bulk(from, 2));
        CHECK_INT(GG_OK, put(from, 3, 10, 0));
        CHECK_INT(GG_OK, send_bulk(from, 4));
        CHECK_INT(GG_OK, get(to, &id));
        CHECK_INT(1, id);
        take_bulk(&pair, to, 1);
        CHECK_INT(GG_OK, get(to, &id));
        CHECK_INT(3, id);
        take_bulk(&pair, to, 2);
    }
    gg_pair_close(&pair);
}

TEST(large_payloads_on_their_way_are_bounded_in_number)
{
    struct gg_pair pair;

    gg_pair_open(&pair, CAPACITY);
    for (uint64_t id = 1; id <= GG_BULK_IN_FLIGHT; id++)
        CHECK_INT(GG_OK, send_bulk(&pair.worker, id));
    CHECK_INT(GG_AGAIN, send_bulk(&pair.worker, 9));
    CHECK_INT(GG_ETIMEOUT,
              gg_port_wait(&pair.worker, GG_WANT_ROOM, LARGE, 0, in_ms(1), 0));
    take_bulk(&pair, &pair.core, 1);
    CHECK_INT(GG_WANT_ROOM, gg_port_wait(&pair.worker, GG_WANT_ROOM, LARGE, 0,
                                         GG_FOREVER, 0));
    CHECK_INT(GG_OK, send_bulk(&pair.worker, 9));
    for (uint64_t id = 2; id <= 9; id++)
        take_bulk(&pair, &pair.core, id);
    gg_pair_close(&pair);
}

TEST(a_large_payload_that_a_batch_has_no_room_for_comes_with_the_next)
{
    struct gg_pair pair;
    struct gg_port_view views[4];

    gg_pair_open(&pair, CAPACITY);
    CHECK_INT(GG_OK, put(&pair.core, 1, 10, 0));
    CHECK_INT(GG_OK, send_bulk(&pair.core, 2));
    CHECK_INT(1, gg_port_receive_batch(&pair.worker, views, 4, 1000, 0, 0));
    gg_port_release(&pair.worker);
    take_bulk(&pair, &pair.worker, 1);
    gg_pair_close(&pair);
}

static void put_reference(struct gg_pair *pair, uint32_t size, uint32_t number,
                          uint32_t payload)
{
    struct gg_reference reference = {size, number};
    struct gg_header header = {.length = GG_FRAME_HEADER + payload,
                               .kind = GG_PUBLISH | GG_BULK};
    struct gg_ring *ring = &pair->worker.out;
    uint8_t bytes[16] = {0};
    uint8_t *at = NULL;

    gg_reference_write(bytes, &reference);
    CHECK_INT(GG_OK, gg_ring_reserve(ring, header.length, &at));
    gg_header_write(at, &header);
    memcpy(at + GG_FRAME_HEADER, bytes, payload);
    gg_ring_commit(ring);
}

TEST(frames_are_received_up_to_a_large_one_and_to_news_of_the_socket)
{
    struct gg_pair pair;
    struct gg_port_view views[4];

    gg_pair_open(&pair, GG_PAIR_CAPACITY);
    CHECK_INT(GG_EINVAL, gg_port_receive_inline(&pair.worker, views, 0, 1));
    CHECK_INT(GG_AGAIN, gg_port_receive_inline(&pair.worker, views, 4, 1000));
    CHECK_INT(GG_OK, put(&pair.core, 1, 10, 0));
    CHECK_INT(GG_OK, put(&pair.core, 2, 10, 0));
    CHECK_INT(GG_OK, send_bulk(&pair.core, 3));
    CHECK_INT(2, gg_port_receive_inline(&pair.worker, views, 4, 1000));
    CHECK_INT(GG_EINVAL, gg_port_receive_inline(&pair.worker, views, 4, 1000));
    gg_port_release(&pair.worker);
    CHECK_INT(GG_AGAIN, gg_port_receive_inline(&pair.worker, views, 4, 1000));
    take_bulk(&pair, &pair.worker, 1);

    CHECK_INT(GG_OK, put(&pair.core, 4, 10, 0));
    CHECK_INT(GG_OK, gg_port_tell(&pair.core));
    CHECK_INT(GG_AGAIN, gg_port_receive_inline(&pair.worker, views, 4, 1000));
    CHECK_INT(1, gg_port_hear(&pair.worker));
    CHECK_INT(1, gg_port_receive_inline(&pair.worker, views, 4, 1000));
    CHECK_INT(4, views[0].id);
    gg_port_release(&pair.worker);
    gg_pair_close(&pair);
}

TEST(a_reference_that_cannot_be_is_refused)
{
    static const uint32_t bad[][3] = {{0, 1, 8},
                                      {GG_BULK_MOST + 1, 1, 8},
                                      {100, 0, 8},
                                      {100, 2, 8},
                                      {100, 1, 7},
                                      {100, 1, 9}};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct gg_pair pair;
        struct gg_port_view view;

        gg_pair_open(&pair, CAPACITY);
        put_reference(&pair, bad[i][0], bad[i][1], bad[i][2]);
        CHECK_INT(GG_EBULK, get_batch(&pair.core, &view, 1));
        gg_pair_close(&pair);
    }
}

TEST(a_count_of_taken_messages_moves_forward_within_those_sent)
{
    struct gg_pair pair;

    gg_pair_open(&pair, CAPACITY);
    CHECK_INT(GG_OK, send_bulk(&pair.core, 1));
    gg_store_seq(&pair.core.out.shared->taken, 2);
    CHECK_INT(GG_ERING, send_bulk(&pair.core, 2));
    gg_store_seq(&pair.core.out.shared->taken, 1);
    CHECK_INT(GG_OK, send_bulk(&pair.core, 2));
    gg_store_seq(&pair.core.out.shared->taken, 0);
    CHECK_INT(GG_ERING, send_bulk(&pair.core, 3));
    gg_pair_close(&pair);
}

/* --- close and fork --- */

static void check_closed(int expected, struct gg_port *port)
{
    static const struct gg_header header = {.length = 24, .kind = GG_READY};
    struct gg_received received;
    struct gg_port_view view;

    CHECK_INT(expected, put(port, 1, 1, 0));
    CHECK_INT(expected, send_bulk(port, 1));
    CHECK_INT(expected, gg_port_stage(port, &header, NULL, NULL, NULL));
    CHECK_INT(expected, gg_port_flush(port));
    CHECK_INT(expected, get_batch(port, &view, 1));
    CHECK_INT(expected, gg_port_receive(port, &received));
    CHECK_INT(expected, gg_port_wait(port, GG_WANT_DATA, 0, 0, GG_FOREVER, 0));
    CHECK_INT(expected, gg_port_park(port, GG_WANT_DATA, 0));
    CHECK_INT(expected, gg_port_interrupt(port));
    CHECK_INT(expected, gg_port_tell(port));
    CHECK_INT(expected, gg_port_hear(port));
    gg_port_release(port);
}

TEST(a_closed_port_says_so)
{
    struct gg_pair pair;

    gg_pair_open(&pair, CAPACITY);
    CHECK_INT(GG_OK, gg_port_close(&pair.worker));
    CHECK_INT(GG_OK, gg_port_close(&pair.worker));
    CHECK(pair.worker.segment.base == NULL);
    check_closed(GG_ECLOSED, &pair.worker);
    CHECK_INT(GG_OK, put(&pair.core, 1, 1, 0));
    gg_pair_close(&pair);
    gg_port_free(&pair.worker);
}

TEST(what_was_given_back_is_closed)
{
    struct gg_pair pair;
    struct gg_port_view view;

    gg_pair_open(&pair, GG_PAIR_CAPACITY);
    gg_port_free(&pair.worker);
    CHECK_INT(GG_ECLOSED, put(&pair.worker, 1, 10, 0));
    CHECK_INT(GG_ECLOSED, gg_port_flush(&pair.worker));
    CHECK_INT(GG_ECLOSED, gg_port_receive_inline(&pair.worker, &view, 1, 1));
    CHECK_INT(GG_ECLOSED, gg_port_interrupt(&pair.worker));
    CHECK_INT(GG_ECLOSED, gg_port_close(&pair.worker));
    gg_port_release(&pair.worker);
    gg_pair_close(&pair);
}

TEST(close_wakes_everybody_and_the_last_one_out_unmaps)
{
    struct gg_pair pair;
    struct job sender = {&pair.worker, 1, 0};
    struct job receiver = {&pair.worker, 2, 0};
    pthread_t threads[2];

    gg_pair_open(&pair, CAPACITY);
    while (put(&pair.worker, 0, 1000, 0) == GG_OK)
        ;
    CHECK_INT(0, pthread_create(&threads[0], NULL, send_blocking, &sender));
    CHECK_INT(0,
              pthread_create(&threads[1], NULL, receive_blocking, &receiver));
    while (gg_load_seq(&pair.worker.mine->word) !=
           (GG_WANT_DATA | GG_WANT_ROOM))
        (void)sched_yield();
    CHECK_INT(GG_OK, gg_port_close(&pair.worker));
    CHECK_INT(0, pthread_join(threads[0], NULL));
    CHECK_INT(0, pthread_join(threads[1], NULL));
    CHECK_INT(GG_ECLOSED, sender.status);
    CHECK_INT(GG_ECLOSED, receiver.status);
    CHECK(pair.worker.segment.base == NULL);
    gg_pair_close(&pair);
}

TEST(received_frames_stay_mapped_until_they_are_released)
{
    struct gg_pair pair;
    struct gg_port_view view;
    uint32_t size = 0;

    gg_pair_open(&pair, CAPACITY);
    CHECK_INT(GG_OK, put(&pair.core, 1, 100, 0));
    CHECK_INT(1, get_batch(&pair.worker, &view, 1));
    CHECK_INT(GG_OK, gg_port_close(&pair.worker));
    CHECK(gg_is_filled(gg_port_data(&pair.worker, &size) + view.payload, 100,
                       1));
    gg_port_release(&pair.worker);
    CHECK(pair.worker.segment.base == NULL);
    gg_port_release(&pair.worker);
    gg_pair_close(&pair);
}

TEST(the_child_of_a_fork_is_told_so_and_the_parent_goes_on)
{
    struct gg_pair pair;
    uint64_t id = 0;
    int status = 0;
    pid_t child;

    gg_pair_open(&pair, CAPACITY);
    CHECK_INT(0, pthread_mutex_lock(&pair.worker.sending)); /* in a call */
    child = fork();
    if (child == 0) {
        check_closed(GG_EFORKED, &pair.worker);
        CHECK_INT(GG_EFORKED, gg_port_close(&pair.worker));
        gg_pair_close(&pair);
        exit(0);
    }
    CHECK_INT(child, waitpid(child, &status, 0));
    CHECK_INT(0, status);
    CHECK_INT(0, pthread_mutex_unlock(&pair.worker.sending));
    CHECK_INT(GG_OK, put(&pair.worker, 6, 10, 0));
    CHECK_INT(GG_OK, get(&pair.core, &id));
    CHECK_INT(6, id);
    gg_pair_close(&pair);
}
