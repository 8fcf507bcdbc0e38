/* SPDX-License-Identifier: Apache-2.0 */
/* The index against a matcher of a few lines that walks filter and topic side
 * by side. Input: lines; "?sTOPIC" asks, any other "sFILTER" is a row of the
 * table, where s is one byte for the source. */
#include "gg/frame.h"
#include "gg/index.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROWS = 256 };

static void require(int condition)
{
    if (!condition)
        abort();
}

static size_t level_size(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *slash =
        at < end ? memchr(at, '/', (size_t)(end - at)) : NULL;

    return (size_t)((slash ? slash : end) - at);
}

static int reference(const uint8_t *filter, const uint8_t *filter_end,
                     const uint8_t *topic, const uint8_t *topic_end)
{
    if (topic < topic_end && *topic == '$' &&
        (*filter == '+' || *filter == '#'))
        return 0;
    for (;;) {
        size_t want = level_size(filter, filter_end);
        size_t have = level_size(topic, topic_end);

        if (want == 1 && *filter == '#')
            return 1;
        if (!(want == 1 && *filter == '+') &&
            (want != have || memcmp(filter, topic, want) != 0))
            return 0;
        filter += want;
        topic += have;
        if (filter == filter_end || topic == topic_end)
            return filter == filter_end && topic == topic_end;
        filter++;
        topic++;
    }
}

static void ask(const struct gg_index *index, const uint8_t *text,
                const struct gg_subscription *table, uint32_t count,
                const uint8_t *line, size_t size)
{
    const uint8_t *topic = line + 1;
    uint32_t rows[ROWS];
    uint32_t expected[ROWS];
    int found =
        gg_index_match(index, line[0], topic, (uint32_t)(size - 1), rows, ROWS);
    int wanted = 0;

    if (size - 1 > GG_MAX_TOPIC) {
        require(found == GG_ETOPIC);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *filter = text + table[i].filter;

        if (table[i].source == line[0] &&
            reference(filter, filter + table[i].filter_size, topic,
                      line + size))
            expected[wanted++] = table[i].row;
    }
    require(wanted == found);
    require(memcmp(expected, rows, (size_t)wanted * sizeof *rows) == 0);
}

/* Call `ask` for the questions when there is an index, else collect rows. */
static uint32_t read_lines(const uint8_t *data, size_t size,
                           const struct gg_index *index,
                           struct gg_subscription *table, uint32_t count)
{
    uint32_t rows = 0;

    for (size_t at = 0; at < size;) {
        const uint8_t *line = data + at;
        const uint8_t *newline = memchr(line, '\n', size - at);
        size_t length = newline ? (size_t)(newline - line) : size - at;

        if (length >= 2 && line[0] == '?') {
            if (index)
                ask(index, data, table, count, line + 1, length - 1);
        } else if (!index && length >= 1 && rows < ROWS) {
            struct gg_subscription *row = &table[rows];
            size_t ignored;

            row->source = line[0];
            row->row = rows;
            row->filter = (uint32_t)(at + 1);
            row->filter_size = (uint32_t)(length - 1);
            if (gg_index_size(row, 1, data, (uint32_t)size, &ignored) == GG_OK)
                rows++;
        }
        at += length + 1;
    }
    return rows;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gg_subscription table[ROWS];
    const struct gg_index *index = NULL;
    size_t needed = 0;
    uint32_t count;
    void *memory;

    if (size > 1 << 16)
        return 0;
    count = read_lines(data, size, NULL, table, 0);
    require(gg_index_size(table, count, data, (uint32_t)size, &needed) ==
            GG_OK);
    memory = malloc(needed);
    require(memory != NULL);
    require(gg_index_init(memory, needed, table, count, data, (uint32_t)size,
                          &index) == GG_OK);
    (void)read_lines(data, size, index, table, count);
    free(memory);
    return 0;
}
