/* SPDX-License-Identifier: Apache-2.0 */
/* Channels under load, under threads, and against peers that break every rule.
 * GG_TEST_SECONDS makes the long ones longer; the default is for a shared
 * machine. */
#include "gg/port.h"
#include "gg_pair.h"
#include "gg_test.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { CAPACITY = GG_PAIR_CAPACITY, BATCH = 16, S = 1000000000 };

static int64_t in_seconds(double seconds)
{
    const char *asked = getenv("GG_TEST_SECONDS");

    if (asked != NULL)
        seconds = strtod(asked, NULL);
    return gg_clock() + (int64_t)(seconds * S);
}

/* --- the core's end, as a router would drive it --- */

struct watcher {
    struct epoll_event event;
    int fd;
};

static void watch(struct watcher *watcher, int event)
{
    watcher->event.events = EPOLLIN | EPOLLET;
    watcher->fd = epoll_create1(EPOLL_CLOEXEC);
    CHECK(watcher->fd != -1);
    CHECK_INT(0,
              epoll_ctl(watcher->fd, EPOLL_CTL_ADD, event, &watcher->event));
}

/* Sleep until there is something; the deadline finds lost wake-ups. */
static int sleep_for(struct watcher *watcher, struct gg_port *port,
                     uint32_t want, uint32_t need)
{
    int status = gg_port_park(port, want, need);

    if (status != GG_AGAIN)
        return status;
    CHECK_INT(1, epoll_wait(watcher->fd, &watcher->event, 1, 20000));
    return GG_OK;
}

/* --- two processes echo --- */

enum { ECHOES = 60000 };

static uint32_t size_of(uint64_t number)
{
    /* Mostly small ones, some of up to half a ring. */
    return (uint32_t)(number % 50 == 49 ? number * 7919 % 32700
                                        : number * 31 % 200);
}

/* The worker sends numbered messages and checks that they come back, with up
 * to 200 under way, and sleeps whenever it can. */
static void run_worker(struct gg_port *port)
{
    static uint8_t payload[CAPACITY / 2];
    struct gg_port_view views[BATCH];
    uint64_t sent = 0;
    uint64_t got = 0;
    uint32_t size = 0;

    while (got < ECHOES) {
        int status;

        while (sent < ECHOES && sent - got < 200) {
            gg_fill(payload, size_of(sent), sent);
            status = gg_pair_send(port, sent, payload, size_of(sent), 0);
            if (status == GG_AGAIN)
                break;
            CHECK_INT(GG_OK, status);
            sent++;
        }
        status = gg_port_receive_batch(port, views, BATCH, 8192,
                                       gg_clock() + INT64_C(20) * S,
                                       got % 3 == 0);
        if (status == GG_EINTR)
            continue;
        CHECK(status > 0);
        for (int i = 0; i < status; i++, got++) {
            CHECK(views[i].id == got);
            CHECK_INT(size_of(got), views[i].end - views[i].payload);
            CHECK(gg_is_filled(gg_port_data(port, &size) + views[i].payload,
                               size_of(got), got));
        }
        gg_port_release(port);
    }
}

/* The core returns what it gets; it sleeps for data, and for room. */
static void run_core(struct gg_port *port, int event)
{
    static struct gg_received received;
    struct watcher watcher;

    watch(&watcher, event);
    for (uint64_t done = 0; done < ECHOES;) {
        int status = gg_port_receive(port, &received);

        if (status == GG_AGAIN) {
            (void)sleep_for(&watcher, port, GG_WANT_DATA, 0);
            continue;
        }
        CHECK_INT(GG_OK, status);
        while ((status = gg_port_send(
                    port, GG_MESSAGE, 0, 0, received.header.id, NULL, 0, NULL,
                    0, received.payload, received.payload_size, 0)) == GG_AGAIN)
            (void)sleep_for(&watcher, port, GG_WANT_ROOM, CAPACITY / 2);
        CHECK_INT(GG_OK, status);
        gg_port_release(port);
        done++;
    }
    CHECK_INT(0, close(watcher.fd));
}

static void await_child(pid_t child)
{
    int status = 0;

    CHECK_INT(child, waitpid(child, &status, 0));
    CHECK_INT(0, status);
}

/* In a child, what was opened before the fork cannot be used; so the child
 * attaches to the descriptor. */
static pid_t start_worker(int fd, int event, int socket,
                          void (*run)(struct gg_port *port))
{
    pid_t child = fork();

    CHECK(child != -1);
    if (child == 0) {
        struct gg_segment segment;
        struct gg_port port;

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)alarm(50);
        CHECK_INT(GG_OK, gg_segment_attach(&segment, fd));
        CHECK_INT(GG_OK, gg_port_init(&port, &segment, GG_SIDE_WORKER, event,
                                      socket, 20000));
        run(&port);
        gg_port_free(&port);
        _exit(0);
    }
    return child;
}

struct core {
    struct gg_port port;
    int sockets[2];
    int event;
    int fd;
};

static void open_core(struct core *core)
{
    struct gg_segment segment;

    CHECK_INT(0, socketpair(AF_UNIX, SOCK_STREAM, 0, core->sockets));
    CHECK_INT(GG_OK, gg_event_create(&core->event));
    CHECK_INT(GG_OK,
              gg_segment_create(&segment, CAPACITY, CAPACITY, &core->fd));
    CHECK_INT(GG_OK, gg_port_init(&core->port, &segment, GG_SIDE_CORE, -1,
                                  core->sockets[0], 0));
}

static void close_core(struct core *core)
{
    gg_port_free(&core->port);
    CHECK_INT(0, close(core->sockets[0]));
    CHECK_INT(0, close(core->sockets[1]));
    CHECK_INT(0, close(core->event));
    CHECK_INT(0, close(core->fd));
}

TEST(two_processes_echo_in_order_and_no_wake_up_is_lost)
{
    struct core core;
    pid_t child;

    open_core(&core);
    child = start_worker(core.fd, core.event, core.sockets[1], run_worker);
    run_core(&core.port, core.event);
    await_child(child);
    close_core(&core);
}

/* --- many threads on one end --- */

enum { SENDERS = 4, EACH = 4000 };

struct sender {
    struct gg_port *port;
    uint64_t base;
};

static void *send_many(void *argument)
{
    struct sender *sender = argument;
    uint8_t payload[256];

    for (uint64_t i = 0; i < EACH; i++) {
        uint64_t id = sender->base + i;
        uint32_t size = (uint32_t)(id % 200);
        int status;

        gg_fill(payload, size, id);
        do {
            status = gg_pair_send(sender->port, id, payload, size,
                                  gg_clock() + INT64_C(20) * S);
        } while (status == GG_EINTR);
        CHECK_INT(GG_OK, status);
    }
    return NULL;
}

TEST(frames_of_many_threads_arrive_whole_and_each_threads_in_order)
{
    static struct gg_received received;
    struct gg_pair pair;
    struct watcher watcher;
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    uint64_t next[SENDERS] = {0};

    gg_pair_open(&pair, CAPACITY);
    watch(&watcher, pair.event);
    for (uint64_t i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){&pair.worker, i * EACH};
        CHECK_INT(0, pthread_create(&threads[i], NULL, send_many, &senders[i]));
    }
    for (int count = 0; count < SENDERS * EACH;) {
        int status = gg_port_receive(&pair.core, &received);
        uint64_t who = received.header.id / EACH;

        if (status == GG_AGAIN) {
            (void)sleep_for(&watcher, &pair.core, GG_WANT_DATA, 0);
            continue;
        }
        CHECK_INT(GG_OK, status);
        CHECK(who < SENDERS);
        CHECK_INT(next[who], received.header.id % EACH);
        CHECK(gg_is_filled(received.payload, received.payload_size,
                           received.header.id));
        next[who]++;
        count++;
        gg_port_release(&pair.core);
    }
    for (int i = 0; i < SENDERS; i++)
        CHECK_INT(0, pthread_join(threads[i], NULL));
    CHECK_INT(0, close(watcher.fd));
    gg_pair_close(&pair);
}

static void *use_until_closed(void *argument)
{
    struct gg_port *port = argument;
    struct gg_port_view views[BATCH];
    uint64_t turn = (uint64_t)(uintptr_t)&views;
    int status = GG_OK;

    while (status != GG_ECLOSED) {
        int64_t deadline = gg_clock() + S / 1000;

        switch (gg_random(&turn) % 4) {
        case 0:
            status = gg_pair_send(port, 1, "hello", 5, deadline);
            break;
        case 1: /* EINVAL while another thread receives */
            status = gg_port_receive_batch(port, views, BATCH, 1000, deadline,
                                           1);
            if (status > 0)
                gg_port_release(port);
            break;
        case 2:
            status = gg_port_interrupt(port);
            break;
        default:
            status = gg_port_wait(port, GG_WANT_DATA | GG_WANT_ROOM, 30000,
                                  gg_port_alarms(port), deadline, 0);
        }
    }
    return NULL;
}

TEST(a_port_may_be_closed_in_the_middle_of_everything)
{
    uint64_t seed = 11;

    for (int round = 0; round < 150; round++) {
        struct gg_pair pair;
        pthread_t threads[3];
        int64_t until;

        gg_pair_open(&pair, CAPACITY);
        for (int i = 0; i < 3; i++)
            CHECK_INT(0, pthread_create(&threads[i], NULL, use_until_closed,
                                        &pair.worker));
        until = gg_clock() + (int64_t)(gg_random(&seed) % (S / 500));
        while (gg_clock() < until)
            (void)gg_pair_send(&pair.core, 1, "hello", 5, 0);
        CHECK_INT(GG_OK, gg_port_close(&pair.worker));
        for (int i = 0; i < 3; i++)
            CHECK_INT(0, pthread_join(threads[i], NULL));
        CHECK(pair.worker.segment.base == NULL);
        gg_pair_close(&pair);
    }
}

/* --- hostile peers --- */

/* Write anything anywhere, all the time, also what looks nearly right. */
static void run_vandal(struct gg_port *port)
{
    uint64_t state = (uint64_t)gg_clock() | 1;
    struct gg_control *control = port->segment.control;
    gg_atomic *words[] = {&control->up.tail,     &control->up.head,
                          &control->up.taken,    &control->up.cpu,
                          &control->down.tail,   &control->down.head,
                          &control->down.taken,  &control->worker.word,
                          &control->worker.news, &control->core.word};

    for (;;) {
        uint64_t random = gg_random(&state);
        gg_atomic *word = words[random % (sizeof words / sizeof *words)];
        uint8_t *at;

        switch (random >> 32 & 7) {
        case 0:
            gg_store_relaxed(word, (uint32_t)gg_random(&state));
            break;
        case 1:
        case 2:
            gg_store_relaxed(word, gg_load_relaxed(word) +
                                       (uint32_t)(gg_random(&state) % 64));
            break;
        case 3: /* a whole segment of noise */
            for (at = port->segment.base;
                 at < (uint8_t *)port->segment.base + port->segment.size;
                 at += 8) {
                random = gg_random(&state);
                memcpy(at, &random, 8);
            }
            break;
        case 4: /* no longer than the ring, so that frames are torn anywhere */
            memset(port->segment.up, (int)(random >> 40),
                   gg_random(&state) % CAPACITY);
            break;
        case 5:
            gg_event_ring(port->event);
            break;
        case 6:
            (void)!write(port->socket, &state, random >> 40 & 7);
            break;
        default: /* a proper frame among it */
            (void)!gg_pair_send(port, random, &state, sizeof state, 0);
        }
    }
}

/* What each end may say of a peer that breaks the contract. */
static int is_named(int status)
{
    return status == GG_ERING || status == GG_ETORN || status == GG_EBULK ||
           (status <= GG_ELENGTH && status >= GG_EFIELDS);
}

static void check_views(struct gg_port *port, const struct gg_port_view *views,
                        int count)
{
    uint32_t size = 0;
    const uint8_t *data = gg_port_data(port, &size);
    volatile uint8_t sum = 0;

    for (int i = 0; i < count; i++) {
        const struct gg_port_view *view = &views[i];

        CHECK(view->topic <= view->context && view->context <= view->payload &&
              view->payload <= view->end && view->end <= size);
        CHECK(view->end - view->topic <= CAPACITY / 2);
        CHECK(view->context - view->topic <= GG_MAX_TOPIC);
        CHECK(view->kind >= GG_PUBLISH && view->kind <= GG_CONTROL);
        CHECK(view->bulk_size <= GG_BULK_MOST);
        for (uint32_t at = view->topic; at < view->end; at++)
            sum = (uint8_t)(sum + data[at]);
    }
}

/* One life of a hostile worker: use the channel until it is found out. Returns
 * the status, or GG_OK if time was up first. */
static int endure(struct core *core, int64_t until)
{
    static struct gg_received received;
    struct gg_port_view views[BATCH];
    uint64_t seed = (uint64_t)until | 1;

    while (gg_clock() < until) {
        int status;

        switch (gg_random(&seed) % 4) {
        case 0:
            status = gg_port_receive_batch(&core->port, views, BATCH,
                                           UINT32_MAX, 0, 0);
            if (status > 0) {
                check_views(&core->port, views, status);
                gg_port_release(&core->port);
            }
            break;
        case 1:
            status = gg_port_receive(&core->port, &received);
            if (status == GG_OK) {
                CHECK(received.header.topic_size <= GG_MAX_TOPIC);
                CHECK(received.payload_size <= CAPACITY / 2);
                gg_port_release(&core->port);
            }
            break;
        case 2:
            status = gg_pair_send(&core->port, seed, received.topic, 512, 0);
            break;
        default:
            status = gg_port_park(&core->port, GG_WANT_DATA | GG_WANT_ROOM,
                                  CAPACITY / 4);
        }
        if (is_named(status))
            return status;
        CHECK(status == GG_AGAIN || status >= 0 || status == GG_ECLOSED);
    }
    return GG_OK;
}

TEST(a_peer_that_writes_anything_anywhere_is_found_out_and_harms_nobody)
{
    int64_t until = in_seconds(2);
    int found_out = 0;
    int lives = 0;

    while (gg_clock() < until) {
        struct core core;
        pid_t child;
        int status;

        open_core(&core);
        child =
            start_worker(core.fd, core.event, core.sockets[1], run_vandal);
        status = endure(&core, gg_clock() + S / 10);
        CHECK(status == GG_OK || strlen(gg_strerror(status)) > 10);
        found_out += status != GG_OK;
        lives++;
        CHECK_INT(0, kill(child, SIGKILL));
        CHECK_INT(child, waitpid(child, NULL, 0));
        close_core(&core);
    }
    CHECK(found_out > lives / 2);
}

/* Writes good frames as fast as it can, and dies at any point of that. */
static void run_victim(struct gg_port *port)
{
    static uint8_t payload[CAPACITY / 2];
    struct gg_port_view views[BATCH];

    for (uint64_t id = 0;; id++) {
        gg_fill(payload, size_of(id), id);
        while (gg_pair_send(port, id, payload, size_of(id),
                            gg_clock() + S / 1000) != GG_OK)
            ;
        if (gg_port_receive_batch(port, views, BATCH, 1000, 0, 0) > 0)
            gg_port_release(port);
    }
}

TEST(whatever_a_killed_peer_committed_is_whole_and_in_order)
{
    static struct gg_received received;
    int64_t until = in_seconds(2);
    uint64_t seed = 5;

    while (gg_clock() < until) {
        struct core core;
        uint64_t expected = 0;
        int64_t end;
        int status = GG_OK;
        int dead = 0;
        pid_t child;

        open_core(&core);
        child =
            start_worker(core.fd, core.event, core.sockets[1], run_victim);
        end = gg_clock() + (int64_t)(gg_random(&seed) % (S / 100));
        while (!dead || status != GG_AGAIN) {
            if (!dead && gg_clock() > end) {
                CHECK_INT(0, kill(child, SIGKILL));
                CHECK_INT(child, waitpid(child, NULL, 0));
                dead = 1;
            }
            status = gg_port_receive(&core.port, &received);
            if (status == GG_AGAIN)
                continue;
            CHECK_INT(GG_OK, status);
            CHECK(received.header.id == expected);
            CHECK_INT(size_of(expected), received.payload_size);
            CHECK(gg_is_filled(received.payload, received.payload_size,
                               expected));
            expected++;
            gg_port_release(&core.port);
        }
        close_core(&core);
    }
}
