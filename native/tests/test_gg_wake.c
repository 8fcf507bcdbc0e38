/* SPDX-License-Identifier: Apache-2.0 */
#include "gg/wake.h"
#include "gg_test.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <unistd.h>

enum { MS = 1000000, S = 1000 };

static int64_t in_ms(int64_t ms)
{
    return gg_clock() + ms * MS;
}

TEST(a_futex_that_changed_does_not_sleep)
{
    gg_atomic word = 1;

    CHECK_INT(GG_OK, gg_futex_wait(&word, 0, GG_FOREVER));
}

TEST(a_futex_sleeps_until_the_deadline)
{
    gg_atomic word = 1;
    int64_t deadline = in_ms(20);

    CHECK_INT(GG_ETIMEOUT, gg_futex_wait(&word, 1, deadline));
    CHECK(gg_clock() >= deadline);
    CHECK_INT(GG_ETIMEOUT, gg_futex_wait(&word, 1, 0));
    CHECK_INT(GG_ETIMEOUT, gg_futex_wait(&word, 1, -5));
}

static void on_alarm(int number)
{
    (void)number;
}

TEST(a_signal_ends_a_sleep)
{
    gg_atomic word = 1;
    struct itimerval soon = {.it_value = {.tv_usec = 20000}};
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_alarm;
    CHECK_INT(0, sigaction(SIGALRM, &action, NULL));
    CHECK_INT(0, setitimer(ITIMER_REAL, &soon, NULL));
    CHECK_INT(GG_EINTR, gg_futex_wait(&word, 1, in_ms(20 * S)));
}

TEST(a_park_word_is_taken_once_and_only_for_what_it_wants)
{
    gg_atomic word = 0;

    CHECK_INT(0, gg_park_take(&word, GG_WANT_DATA));
    gg_park_set(&word, GG_WANT_ROOM);
    CHECK_INT(0, gg_park_take(&word, GG_WANT_DATA));
    gg_park_set(&word, GG_WANT_DATA);
    CHECK_INT(GG_WANT_DATA | GG_WANT_ROOM, gg_park_take(&word, GG_WANT_DATA));
    CHECK_INT(0, gg_park_take(&word, GG_WANT_DATA));
}

TEST(bits_of_a_park_word_that_nobody_defined_are_dropped)
{
    const uint32_t all =
        GG_WANT_DATA | GG_WANT_ROOM | GG_WANT_SOCKET | GG_WANT_SOON;
    gg_atomic word = UINT32_MAX;

    CHECK_INT(all, gg_park_take(&word, GG_WANT_DATA));
    CHECK_INT(0, gg_load_seq(&word));
    word = ~all;
    CHECK_INT(0, gg_park_take(&word, GG_WANT_DATA));
}

/* Two threads hand a number to and fro, each asleep while it is the other's
 * turn: one lost wake-up, and this ends by its deadline. */
struct game {
    gg_atomic turn;
    gg_atomic park[2];
};

enum { TURNS = 20000 };

static void play(struct game *game, uint32_t me)
{
    for (uint32_t turn = me; turn < TURNS; turn += 2) {
        while (gg_load_acquire(&game->turn) != turn) {
            gg_park_set(&game->park[me], GG_WANT_DATA);
            if (gg_load_seq(&game->turn) == turn)
                break;
            CHECK_INT(GG_OK, gg_futex_wait(&game->park[me], GG_WANT_DATA,
                                           in_ms(20 * S)));
        }
        gg_store_seq(&game->turn, turn + 1);
        if (gg_park_take(&game->park[1 - me], GG_WANT_DATA) != 0)
            gg_futex_wake(&game->park[1 - me]);
    }
}

static void *play_second(void *argument)
{
    play(argument, 1);
    return NULL;
}

TEST(no_wake_up_is_lost_between_two_threads)
{
    struct game game;
    pthread_t thread;

    memset(&game, 0, sizeof game);
    CHECK_INT(0, pthread_create(&thread, NULL, play_second, &game));
    play(&game, 0);
    CHECK_INT(0, pthread_join(thread, NULL));
    CHECK_INT(TURNS, gg_load_seq(&game.turn));
}

TEST(each_ring_of_an_event_is_an_edge_though_nobody_reads_it)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    int watcher = epoll_create1(EPOLL_CLOEXEC);
    int fd = -1;

    CHECK(watcher != -1);
    CHECK_INT(GG_OK, gg_event_create(&fd));
    CHECK_INT(0, epoll_ctl(watcher, EPOLL_CTL_ADD, fd, &event));
    CHECK_INT(0, epoll_wait(watcher, &event, 1, 0));
    for (int i = 0; i < 3; i++) {
        gg_event_ring(fd);
        CHECK_INT(1, epoll_wait(watcher, &event, 1, 0));
        CHECK_INT(0, epoll_wait(watcher, &event, 1, 0));
    }
    CHECK_INT(0, close(fd));
    CHECK_INT(0, close(watcher));
}

TEST(ringing_never_blocks_on_a_counter_that_is_full)
{
    uint64_t most = UINT64_MAX - 1;
    int fd = -1;

    CHECK_INT(GG_OK, gg_event_create(&fd));
    CHECK_INT(sizeof most, write(fd, &most, sizeof most));
    gg_event_ring(fd);
    gg_event_ring(-1);
    CHECK_INT(0, close(fd));
}

/* As on a machine with several processors. */
static void init_spin(struct gg_spin *spin, int64_t window_ns)
{
    gg_spin_init(spin, window_ns);
    spin->window_ns = window_ns;
    gg_store_relaxed(&spin->window, (uint32_t)window_ns);
}

TEST(spinning_stops_where_it_does_not_pay)
{
    struct gg_spin spin;
    uint32_t other = gg_cpu() + 1000;
    int spins = 0;

    init_spin(&spin, 50000);
    CHECK_INT(0, gg_spin_begin(&spin, 0));
    for (int i = 0; i < 1000; i++)
        if (gg_spin_begin(&spin, other) > 0) {
            spins++;
            gg_spin_end(&spin, -1);
        }
    CHECK(spins < 25);
    while (gg_spin_begin(&spin, other) == 0)
        ;
    gg_spin_end(&spin, 1);
    CHECK_INT(50000, gg_spin_begin(&spin, other));
    spin.window_ns = 0;
    CHECK_INT(0, gg_spin_begin(&spin, other));
}

TEST(a_spin_is_longer_after_one_in_vain_and_twice_what_paid)
{
    static const struct {
        int64_t paid, next;
    } cases[] = {{-1, 200000}, {10000, 50000},   {30000, 60000},
                 {90000, 180000}, {150000, 200000}, {1, 50000}};
    struct gg_spin spin;
    uint32_t other = gg_cpu() + 1000;

    init_spin(&spin, 50000);
    CHECK_INT(50000, gg_spin_begin(&spin, other));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t window;

        gg_spin_end(&spin, cases[i].paid);
        do {
            window = gg_spin_begin(&spin, other);
        } while (window == 0);
        CHECK_INT(cases[i].next, window);
    }
}

TEST(nobody_spins_on_the_processor_that_the_peer_needs)
{
    struct gg_spin spin;
    int refused = 0;

    init_spin(&spin, 50000);
    for (int i = 0; i < 100; i++) /* we may be moved in between */
        refused += gg_spin_begin(&spin, gg_cpu()) == 0;
    CHECK(refused > 50);
    CHECK(gg_cpus() >= 1);
}
