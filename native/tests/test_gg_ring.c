/* SPDX-License-Identifier: Apache-2.0 */
#include "gg/ring.h"
#include "gg/segment.h"
#include "gg_pair.h"
#include "gg_test.h"

#include <pthread.h>
#include <sched.h>

enum { CAPACITY = 1 << 16 };

struct both {
    struct gg_segment segment;
    struct gg_ring producer;
    struct gg_ring consumer;
    struct gg_ring_shared *shared;
};

/* A ring whose indices start at `index`. */
static void begin(struct both *both, uint32_t index)
{
    int fd = -1;

    CHECK_INT(GG_OK, gg_segment_create(&both->segment, CAPACITY, CAPACITY,
                                       &fd));
    CHECK_INT(0, close(fd));
    both->shared = &both->segment.control->up;
    CHECK_INT(GG_OK, gg_ring_init(&both->producer, both->shared,
                                  both->segment.up, CAPACITY));
    both->producer.own = both->producer.staged = both->producer.peer = index;
    both->consumer = both->producer;
    gg_store_relaxed(&both->shared->tail, index);
    gg_store_relaxed(&both->shared->head, index);
}

static void end(struct both *both)
{
    gg_segment_unmap(&both->segment);
}

/* Put one frame without topic and context; return what reserve said. */
static int put(struct gg_ring *ring, uint64_t id, uint32_t size)
{
    struct gg_header header = {
        .id = id, .length = GG_FRAME_HEADER + size, .kind = GG_PUBLISH};
    uint8_t *at = NULL;
    int status = gg_ring_reserve(ring, header.length, &at);

    if (status == GG_OK) {
        gg_header_write(at, &header);
        gg_fill(at + GG_FRAME_HEADER, size, id);
    }
    return status;
}

static int get(struct gg_ring *ring, uint64_t *id)
{
    struct gg_header header;
    const uint8_t *at = NULL;
    int bulk = 0;
    int status = gg_ring_read(ring, &header, &at, &bulk);

    if (status == GG_OK) {
        CHECK(!bulk);
        CHECK(gg_is_filled(at, header.length - GG_FRAME_HEADER, header.id));
        *id = header.id;
    }
    return status;
}

TEST(a_capacity_is_a_power_of_two_within_the_bounds)
{
    struct gg_ring_shared shared = {0};
    struct gg_ring ring;
    uint8_t data = 0;

    CHECK_INT(GG_OK, gg_ring_init(&ring, &shared, &data, GG_RING_LEAST));
    CHECK_INT(GG_OK, gg_ring_init(&ring, &shared, &data, GG_RING_MOST));
    CHECK_INT(GG_EINVAL,
              gg_ring_init(&ring, &shared, &data, GG_RING_LEAST / 2));
    CHECK_INT(GG_EINVAL, gg_ring_init(&ring, &shared, &data, GG_RING_MOST * 2));
    CHECK_INT(GG_EINVAL,
              gg_ring_init(&ring, &shared, &data, GG_RING_LEAST + 1));
    CHECK_INT(GG_EINVAL, gg_ring_init(&ring, &shared, &data, 0));
}

TEST(what_is_reserved_is_seen_when_it_is_committed)
{
    struct both both;
    uint64_t id = 0;

    begin(&both, 0);
    CHECK_INT(GG_OK, put(&both.producer, 1, 100));
    CHECK_INT(GG_OK, put(&both.producer, 2, 100));
    CHECK_INT(GG_AGAIN, get(&both.consumer, &id));
    CHECK_INT(GG_AGAIN, gg_ring_ready(&both.consumer));
    gg_ring_commit(&both.producer);
    CHECK_INT(GG_OK, gg_ring_ready(&both.consumer));
    CHECK_INT(GG_OK, get(&both.consumer, &id));
    CHECK_INT(1, id);
    CHECK_INT(GG_OK, get(&both.consumer, &id));
    CHECK_INT(2, id);
    CHECK_INT(GG_AGAIN, get(&both.consumer, &id));
    end(&both);
}

TEST(what_was_rolled_back_never_was)
{
    struct both both;
    uint64_t id = 0;

    begin(&both, 0);
    CHECK_INT(GG_OK, put(&both.producer, 1, 5000));
    gg_ring_rollback(&both.producer);
    CHECK_INT(GG_OK, put(&both.producer, 2, 10));
    gg_ring_commit(&both.producer);
    CHECK_INT(GG_OK, get(&both.consumer, &id));
    CHECK_INT(2, id);
    end(&both);
}

TEST(space_returns_when_it_is_released)
{
    struct both both;
    uint8_t *at = NULL;
    const uint8_t *from = NULL;
    uint32_t size = 0;

    begin(&both, 0);
    CHECK_INT(GG_EINVAL, gg_ring_reserve(&both.producer, CAPACITY + 1, &at));
    CHECK_INT(GG_OK, gg_ring_reserve(&both.producer, CAPACITY, &at));
    CHECK_INT(GG_AGAIN, gg_ring_reserve(&both.producer, 1, &at));
    gg_ring_commit(&both.producer);
    CHECK_INT(GG_OK, gg_ring_peek(&both.consumer, &from, &size));
    CHECK_INT(CAPACITY, size);
    gg_ring_skip(&both.consumer, 100);
    CHECK_INT(GG_AGAIN, gg_ring_reserve(&both.producer, 1, &at));
    gg_ring_release(&both.consumer);
    CHECK_INT(GG_OK, gg_ring_room(&both.producer, &size));
    CHECK_INT(100, size);
    CHECK_INT(GG_AGAIN, gg_ring_reserve(&both.producer, 101, &at));
    CHECK_INT(GG_OK, gg_ring_reserve(&both.producer, 100, &at));
    end(&both);
}

TEST(frames_run_over_the_end_of_the_ring_in_one_piece)
{
    struct both both;
    uint64_t state = 7;

    begin(&both, 0);
    for (uint64_t number = 0; number < 3000; number++) {
        uint64_t id = 0;

        CHECK_INT(GG_OK, put(&both.producer, number,
                             (uint32_t)(gg_random(&state) % 30000)));
        gg_ring_commit(&both.producer);
        CHECK_INT(GG_OK, get(&both.consumer, &id));
        CHECK_INT(number, id);
        gg_ring_release(&both.consumer);
    }
    end(&both);
}

TEST(indices_run_over_the_end_of_their_32_bits)
{
    struct both both;
    uint64_t state = 9;

    begin(&both, UINT32_MAX - 3 * CAPACITY);
    for (uint64_t number = 0; number < 100; number++) {
        uint64_t id = 0;

        CHECK_INT(GG_OK, put(&both.producer, number,
                             (uint32_t)(gg_random(&state) % 30000)));
        gg_ring_commit(&both.producer);
        CHECK_INT(GG_OK, get(&both.consumer, &id));
        CHECK_INT(number, id);
        gg_ring_release(&both.consumer);
    }
    CHECK(both.producer.own < UINT32_MAX / 2);
    end(&both);
}

/* Every place for the consumer's index: only those from the one known up to
 * what was committed are accepted. */
static void check_heads(uint32_t start)
{
    struct both both;
    uint8_t *at = NULL;
    uint32_t size = 0;

    begin(&both, start);
    CHECK_INT(GG_OK, gg_ring_reserve(&both.producer, 1000, &at));
    gg_ring_commit(&both.producer);
    CHECK_INT(GG_OK, gg_ring_reserve(&both.producer, 500, &at));
    gg_store_relaxed(&both.shared->head, start + 400);
    CHECK_INT(GG_OK, gg_ring_room(&both.producer, &size));
    for (int64_t step = -70000; step <= 70000; step++) {
        struct gg_ring ring = both.producer;
        int expected = step >= 400 && step <= 1000 ? GG_OK : GG_ERING;

        gg_store_relaxed(&both.shared->head, (uint32_t)(start + step));
        CHECK_INT(expected, gg_ring_room(&ring, &size));
        if (expected == GG_OK)
            CHECK_INT(CAPACITY - 1500 + step, size);
    }
    gg_store_relaxed(&both.shared->head, start + UINT32_C(0x80000000));
    CHECK_INT(GG_ERING, gg_ring_reserve(&both.producer, CAPACITY - 500, &at));
    end(&both);
}

TEST(the_consumers_index_moves_forward_within_what_was_committed)
{
    check_heads(0);
    check_heads(UINT32_MAX - 500);
}

static void check_tails(uint32_t start)
{
    struct both both;
    const uint8_t *at = NULL;
    uint32_t size = 0;

    begin(&both, start);
    gg_store_relaxed(&both.shared->tail, start + 1000);
    CHECK_INT(GG_OK, gg_ring_peek(&both.consumer, &at, &size));
    gg_ring_skip(&both.consumer, 1000);
    for (int64_t step = -140000; step <= 140000; step++) {
        struct gg_ring ring = both.consumer;
        int expected = GG_ERING;

        if (step == 1000)
            expected = GG_AGAIN;
        else if (step > 1000 && step <= CAPACITY)
            expected = GG_OK;
        gg_store_relaxed(&both.shared->tail, (uint32_t)(start + step));
        CHECK_INT(expected, gg_ring_peek(&ring, &at, &size));
        if (expected == GG_OK)
            CHECK_INT(step - 1000, size);
    }
    end(&both);
}

TEST(the_producers_index_moves_forward_within_the_space_it_has)
{
    check_tails(0);
    check_tails(UINT32_MAX - 500);
}

TEST(a_frame_that_is_not_whole_is_refused)
{
    struct both both;
    uint64_t id = 0;

    begin(&both, 0);
    CHECK_INT(GG_OK, put(&both.producer, 1, 100));
    gg_store_seq(&both.shared->tail, GG_FRAME_HEADER - 1);
    CHECK_INT(GG_ETORN, get(&both.consumer, &id));
    gg_store_seq(&both.shared->tail, GG_FRAME_HEADER + 99);
    both.consumer.peer = 0;
    CHECK_INT(GG_ETORN, get(&both.consumer, &id));
    gg_store_seq(&both.shared->tail, GG_FRAME_HEADER + 100);
    both.consumer.peer = 0;
    CHECK_INT(GG_OK, get(&both.consumer, &id));
    end(&both);
}

TEST(a_header_that_breaks_a_rule_is_refused_with_its_status)
{
    struct both both;
    uint64_t id = 0;

    begin(&both, 0);
    CHECK_INT(GG_OK, put(&both.producer, 1, 100));
    gg_ring_commit(&both.producer);
    both.segment.up[4] = 0;
    CHECK_INT(GG_EKIND, get(&both.consumer, &id));
    both.segment.up[4] = GG_BULK; /* and no kind */
    CHECK_INT(GG_EKIND, get(&both.consumer, &id));
    both.segment.up[4] = GG_PUBLISH;
    both.segment.up[2] = 1; /* more than half a ring */
    CHECK_INT(GG_ELENGTH, get(&both.consumer, &id));
    both.segment.up[2] = 0;
    both.segment.up[7] = 3; /* topic */
    CHECK_INT(GG_ETOPIC, get(&both.consumer, &id));
    end(&both);
}

TEST(a_secret_frame_is_wiped_with_what_was_read_beside_it)
{
    struct both both;
    struct gg_header header = {.length = GG_FRAME_HEADER + 5000,
                               .kind = GG_PUBLISH | GG_WIPE};
    const uint8_t *seen = NULL;
    uint8_t *at = NULL;
    int bulk = 0;

    begin(&both, CAPACITY - 3000); /* runs over the end */
    CHECK_INT(GG_OK, put(&both.producer, 1, 100));
    CHECK_INT(GG_OK, gg_ring_reserve(&both.producer, header.length, &at));
    gg_header_write(at, &header);
    gg_fill(at + GG_FRAME_HEADER, 5000, 2);
    CHECK_INT(GG_OK, put(&both.producer, 3, 100));
    gg_ring_commit(&both.producer);
    for (uint64_t id = 1; id < 3; id++) {
        CHECK_INT(GG_OK, gg_ring_read(&both.consumer, &header, &seen, &bulk));
        CHECK_INT(GG_PUBLISH, header.kind);
        CHECK(gg_is_filled(seen, header.length - GG_FRAME_HEADER, id));
    }
    gg_ring_release(&both.consumer);
    for (uint32_t i = 0; i < 5000 + GG_FRAME_HEADER; i++)
        CHECK_INT(0, at[i]);
    CHECK_INT(GG_OK, gg_ring_read(&both.consumer, &header, &seen, &bulk));
    gg_ring_release(&both.consumer);
    CHECK(gg_is_filled(seen, 100, 3)); /* what is no secret is left alone */
    end(&both);
}

TEST(the_longest_frame_is_half_a_ring)
{
    struct both both;
    uint64_t id = 0;

    begin(&both, 0);
    CHECK_INT(GG_OK, put(&both.producer, 1, CAPACITY / 2 - GG_FRAME_HEADER));
    CHECK_INT(GG_OK, put(&both.producer, 2, CAPACITY / 2 - GG_FRAME_HEADER));
    CHECK_INT(GG_AGAIN, put(&both.producer, 3, 0));
    gg_ring_commit(&both.producer);
    CHECK_INT(GG_OK, get(&both.consumer, &id));
    CHECK_INT(GG_OK, get(&both.consumer, &id));
    gg_ring_release(&both.consumer);
    CHECK_INT(GG_OK, put(&both.producer, 3, CAPACITY / 2 - 23));
    gg_ring_commit(&both.producer);
    CHECK_INT(GG_ELENGTH, get(&both.consumer, &id));
    end(&both);
}

/* --- two threads; what ThreadSanitizer looks at --- */

enum { FRAMES = 100000 };

static void *produce(void *argument)
{
    struct gg_ring *ring = argument;
    uint64_t state = 3;

    for (uint64_t number = 0; number < FRAMES;) {
        unsigned batch = (unsigned)(gg_random(&state) % 5);
        int status = GG_OK;

        for (unsigned i = 0; i <= batch && number < FRAMES; i++) {
            status =
                put(ring, number, (uint32_t)(gg_random(&state) % 300));
            if (status != GG_OK)
                break;
            number++;
        }
        gg_ring_commit(ring);
        if (status == GG_AGAIN)
            (void)sched_yield();
        else
            CHECK_INT(GG_OK, status);
    }
    return NULL;
}

TEST(two_threads_pass_frames_in_order_and_whole)
{
    struct both both;
    pthread_t thread;
    uint64_t expected = 0;

    begin(&both, UINT32_MAX - 100 * CAPACITY);
    CHECK_INT(0, pthread_create(&thread, NULL, produce, &both.producer));
    while (expected < FRAMES) {
        uint64_t id = 0;
        int status = get(&both.consumer, &id);

        if (status == GG_AGAIN) {
            gg_ring_release(&both.consumer);
            (void)sched_yield();
            continue;
        }
        CHECK_INT(GG_OK, status);
        CHECK_INT(expected, id);
        expected++;
        if (expected % 7 == 0)
            gg_ring_release(&both.consumer);
    }
    CHECK_INT(0, pthread_join(thread, NULL));
    end(&both);
}
