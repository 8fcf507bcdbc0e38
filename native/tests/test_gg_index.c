/* SPDX-License-Identifier: Apache-2.0 */
#include "gg/frame.h"
#include "gg/index.h"
#include "gg_test.h"

#include <pthread.h>
#include <string.h>

enum { ROWS = 64, TEXT = 1 << 16 };

/* A table under construction. */
struct table {
    struct gg_subscription rows[ROWS];
    uint8_t text[TEXT];
    uint32_t count;
    uint32_t text_size;
};

static void add(struct table *table, uint32_t source, const char *filter,
                uint32_t row)
{
    struct gg_subscription *entry = &table->rows[table->count++];
    size_t size = strlen(filter);

    CHECK(table->count <= ROWS && table->text_size + size < TEXT);
    memcpy(table->text + table->text_size, filter, size);
    entry->source = source;
    entry->row = row;
    entry->filter = table->text_size;
    entry->filter_size = (uint32_t)size;
    table->text_size += (uint32_t)size;
}

static const struct gg_index *build(const struct table *table)
{
    const struct gg_index *index = NULL;
    size_t size = 0;
    void *memory;

    CHECK_INT(GG_OK, gg_index_size(table->rows, table->count, table->text,
                                   table->text_size, &size));
    memory = gg_test_guarded((size + 7) / 8 * 8);
    CHECK_INT(GG_OK, gg_index_init(memory, size, table->rows, table->count,
                                   table->text, table->text_size, &index));
    return index;
}

static int match(const struct gg_index *index, uint32_t source,
                 const char *topic, uint32_t *rows)
{
    return gg_index_match(index, source, (const uint8_t *)topic,
                          (uint32_t)strlen(topic), rows, ROWS);
}

static int matches(const char *filter, const char *topic)
{
    struct table table = {0};
    uint32_t rows[ROWS];

    add(&table, 1, filter, 0);
    return match(build(&table), 1, topic, rows);
}

TEST(one_filter_and_one_topic)
{
    static const struct {
        int expected;
        const char *filter, *topic;
    } cases[] = {
        {1, "a", "a"},
        {0, "a", "b"},
        {0, "a", "a/b"},
        {0, "a/b", "a"},
        {1, "a/b/c", "a/b/c"},
        {0, "a", "A"},
        {1, "+", "a"},
        {1, "+", ""},
        {0, "+", "a/b"},
        {1, "+/+", "a/b"},
        {1, "+/+", "/b"},
        {1, "+/+", "/"},
        {0, "+", "/"},
        {1, "a/+/c", "a/b/c"},
        {1, "a/+/c", "a//c"},
        {0, "a/+/c", "a/c"},
        {1, "#", "a"},
        {1, "#", "a/b/c"},
        {1, "#", "/"},
        {1, "sensor/#", "sensor/"},
        {1, "sensor/#", "sensor/a/b"},
        {0, "sensor/#", "sensor"}, /* guide; unlike MQTT 3.1.1 */
        {0, "sensor/#", "sensors/a"},
        {1, "+/#", "a/b"},
        {0, "+/#", "a"},
        {1, "/a", "/a"},
        {0, "/a", "a"},
        {1, "a/", "a/"},
        {0, "a/", "a"},
        {0, "#", "$aws/x"},
        {0, "+/x", "$aws/x"},
        {1, "$aws/#", "$aws/x"},
        {1, "$aws/+", "$aws/x"},
        {1, "a/+", "a/$b"},
        {1, "a/#", "a/$b"},
        {1, "$", "$"},
        {0, "#", "$"},
        {1, "a/+", "a/+"},
        {0, "a/b", "a/+"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int actual = matches(cases[i].filter, cases[i].topic);

        if (actual != cases[i].expected)
            (void)fprintf(stderr, "%s %s\n", cases[i].filter, cases[i].topic);
        CHECK_INT(cases[i].expected, actual);
    }
}

TEST(rows_come_ascending_and_once)
{
    struct table table = {0};
    const struct gg_index *index;
    uint32_t rows[ROWS];

    add(&table, 1, "a/b", 9);
    add(&table, 1, "a/#", 4);
    add(&table, 1, "a/+", 9);
    add(&table, 1, "+/b", UINT32_MAX);
    add(&table, 1, "#", 0);
    add(&table, 1, "a/b", 4);
    add(&table, 2, "a/b", 5);
    index = build(&table);
    CHECK_INT(4, match(index, 1, "a/b", rows));
    CHECK_INT(0, rows[0]);
    CHECK_INT(4, rows[1]);
    CHECK_INT(9, rows[2]);
    CHECK_INT(UINT32_MAX, rows[3]);
    CHECK_INT(1, match(index, 2, "a/b", rows));
    CHECK_INT(5, rows[0]);
    CHECK_INT(0, match(index, 3, "a/b", rows));
    CHECK_INT(0, match(index, UINT32_MAX, "a/b", rows));
}

TEST(a_small_array_is_never_overrun)
{
    struct table table = {0};
    const struct gg_index *index;

    for (uint32_t i = 0; i < 20; i++)
        add(&table, 1, "a/+", 20 - i);
    index = build(&table);
    for (uint32_t capacity = 0; capacity < 24; capacity++) {
        uint32_t *rows = gg_test_guarded(capacity * sizeof *rows);

        CHECK_INT(capacity < 20 ? GG_ENOSPC : 20,
                  gg_index_match(index, 1, (const uint8_t *)"a/b", 3, rows,
                                 capacity));
    }
}

TEST(memory_is_used_to_the_byte)
{
    struct table table = {0};
    const struct gg_index *index = NULL;
    size_t size = 0;
    char *memory;

    add(&table, 1, "a/+/b/#", 1);
    CHECK_INT(GG_OK,
              gg_index_size(table.rows, 1, table.text, table.text_size, &size));
    for (size_t less = 1; less <= size; less++)
        CHECK_INT(GG_ENOSPC,
                  gg_index_init(gg_test_guarded((size - less) / 8 * 8),
                                size - less, table.rows, 1, table.text,
                                table.text_size, &index));
    memory = gg_test_guarded((size + 15) / 8 * 8);
    CHECK_INT(GG_EINVAL, gg_index_init(memory + 1, size, table.rows, 1,
                                       table.text, table.text_size, &index));
    CHECK(index == NULL);
}

TEST(an_empty_table_matches_nothing)
{
    struct table table = {0};
    uint32_t rows[ROWS];

    CHECK_INT(0, match(build(&table), 0, "a", rows));
}

TEST(malformed_filters_are_refused)
{
    static const char *const filters[] = {
        "",   "a+",  "+a",    "a/b+", "a/+b/c", "#a", "a#",
        "##", "#/a", "a/#/b", "a/#b", "++",     "+#", "#/",
    };
    char longest[GG_MAX_TOPIC + 2];
    size_t size = 0;

    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        struct table table = {0};

        add(&table, 1, filters[i], 0);
        CHECK_INT(GG_EFILTER, gg_index_size(table.rows, 1, table.text,
                                            table.text_size, &size));
    }
    memset(longest, 'x', sizeof longest);
    longest[GG_MAX_TOPIC + 1] = 0;
    for (int less = 0; less < 2; less++) {
        struct table table = {0};

        longest[GG_MAX_TOPIC + 1 - less] = 0;
        add(&table, 1, longest, 0);
        CHECK_INT(
            less ? GG_OK : GG_EFILTER,
            gg_index_size(table.rows, 1, table.text, table.text_size, &size));
    }
    CHECK_INT(GG_EFILTER, gg_index_size(&(struct gg_subscription){1, 1, 0, 3},
                                        1, (const uint8_t *)"a\0b", 3, &size));
}

TEST(filters_outside_the_text_are_refused)
{
    static const struct gg_subscription rows[] = {
        {1, 1, 0, 5},          {1, 1, 5, 1},          {1, 1, 4, 1},
        {1, 1, UINT32_MAX, 1}, {1, 1, 1, UINT32_MAX},
    };
    size_t size = 0;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CHECK_INT(GG_EINVAL, gg_index_size(&rows[i], 1, (const uint8_t *)"abcd",
                                           4, &size));
    CHECK_INT(GG_EINVAL, gg_index_size(rows, GG_MAX_SUBSCRIPTIONS + 1,
                                       (const uint8_t *)"abcd", 4, &size));
}

TEST(the_longest_topics_stay_inside_the_stack)
{
    struct table table = {0};
    const struct gg_index *index;
    uint8_t topic[GG_MAX_TOPIC + 1];
    char filter[GG_MAX_TOPIC + 1] = {0};
    uint32_t rows[ROWS];

    memset(topic, '/', sizeof topic);
    memset(filter, '/', GG_MAX_TOPIC);
    add(&table, 1, filter, 1); /* 513 empty levels */
    filter[GG_MAX_TOPIC - 1] = '#';
    add(&table, 1, filter, 2);
    memset(filter, 0, sizeof filter);
    for (size_t i = 0; i < GG_MAX_TOPIC; i += 2)
        memcpy(filter + i, "+/", 2); /* 257 levels, the last one empty */
    add(&table, 1, filter, 3);
    filter[GG_MAX_TOPIC - 1] = 0;
    add(&table, 1, filter, 4);
    index = build(&table);
    CHECK_INT(2, gg_index_match(index, 1, topic, GG_MAX_TOPIC, rows, ROWS));
    CHECK_INT(1, rows[0]);
    CHECK_INT(2, rows[1]);
    CHECK_INT(1, gg_index_match(index, 1, topic, 256, rows, ROWS));
    CHECK_INT(3, rows[0]);
    CHECK_INT(1, gg_index_match(index, 1, topic, 255, rows, ROWS));
    CHECK_INT(4, rows[0]);
    CHECK_INT(GG_ETOPIC,
              gg_index_match(index, 1, topic, GG_MAX_TOPIC + 1, rows, ROWS));
}

/* Every choice of literal and '+' over six levels: each topic matches 64. */
TEST(both_branches_of_every_level_are_walked)
{
    struct table table = {0};
    uint32_t rows[ROWS];

    for (uint32_t mask = 0; mask < 63; mask++) {
        char filter[12] = "a/a/a/a/a/a";

        for (size_t level = 0; level < 6; level++)
            if (mask >> level & 1)
                filter[2 * level] = '+';
        add(&table, 7, filter, mask);
    }
    CHECK_INT(63, match(build(&table), 7, "a/a/a/a/a/a", rows));
    for (uint32_t i = 0; i < 63; i++)
        CHECK_INT(i, rows[i]);
    CHECK_INT(31, match(build(&table), 7, "b/a/a/a/a/a", rows));
}

/* Words that are prefixes of each other, the longest first, in many alphabets:
 * look-ups meet the edges of other words and of other nodes on their way. */
TEST(slots_that_collide_are_told_apart)
{
    for (char letter = '0'; letter <= 'z'; letter++) {
        struct table table = {0};
        const struct gg_index *index;
        char word[ROWS] = {0};
        uint32_t rows[ROWS];

        memset(word, letter, ROWS - 3);
        memcpy(word + ROWS - 3, "/!", 2);
        for (uint32_t i = 0; i < ROWS - 3; i++)
            add(&table, 5, word + i, i);
        index = build(&table);
        for (uint32_t i = 0; i < ROWS - 3; i++) {
            CHECK_INT(1, match(index, 5, word + i, rows));
            CHECK_INT(i, rows[0]);
        }
        for (uint32_t source = 0; source < table.text_size; source++)
            CHECK_INT(0, match(index, source, "!", rows));
    }
}

static void *match_often(void *argument)
{
    uint32_t rows[ROWS];

    for (int i = 0; i < 20000; i++)
        CHECK_INT(2, match(argument, 1, "a/b/c", rows));
    return NULL;
}

TEST(threads_match_in_one_index_without_a_lock)
{
    struct table table = {0};
    const struct gg_index *index;
    pthread_t threads[4];

    add(&table, 1, "a/+/c", 1);
    add(&table, 1, "a/#", 2);
    index = build(&table);
    for (size_t i = 0; i < 4; i++)
        CHECK_INT(0, pthread_create(&threads[i], NULL, match_often,
                                    (void *)(uintptr_t)index));
    for (size_t i = 0; i < 4; i++)
        CHECK_INT(0, pthread_join(threads[i], NULL));
}
