/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GG_INDEX_H
#define GG_INDEX_H

#include "gg/status.h"

#include <stddef.h>
#include <stdint.h>

/* The subscription table as a trie: one root per source, one edge per topic
 * level. It is built whole into memory of the caller and never changed after,
 * so any number of threads may match at the same time, without a lock; a new
 * table is a new index.
 *
 * Rules (Greengrass V1 guide): levels are separated by '/' and may be empty;
 * '+' is exactly one level; '#' is last and stands for one or more levels, so
 * that sensor/# does not match sensor; a wildcard in the first level does not
 * match a topic that starts with '$'. Levels are compared byte by byte. */

#define GG_MAX_SUBSCRIPTIONS 1048576

/* One row: messages of `source` on a topic that matches the filter
 * text[filter .. filter + filter_size) match `row`. */
struct gg_subscription {
    uint32_t source;
    uint32_t row;
    uint32_t filter;
    uint32_t filter_size;
};

struct gg_index;

/* Check a table and tell how much memory its index takes.
 * Returns GG_EFILTER for a malformed filter, GG_EINVAL for one that is not
 * inside `text` and for more than GG_MAX_SUBSCRIPTIONS rows. */
GG_NODISCARD int gg_index_size(const struct gg_subscription *table,
                               uint32_t count, const uint8_t *text,
                               uint32_t text_size, size_t *size);

/* Build the index of a table in `memory`, aligned to 8 bytes.
 *
 * *index lives in `memory` until the caller frees that; `table` and `text` are
 * not kept. Returns what gg_index_size() returns, GG_ENOSPC when `size` is less
 * than what that asked for, GG_EINVAL for misaligned memory. */
GG_NODISCARD int gg_index_init(void *memory, size_t size,
                               const struct gg_subscription *table,
                               uint32_t count, const uint8_t *text,
                               uint32_t text_size,
                               const struct gg_index **index);

/* Write the rows that match, ascending, each once, and return their number.
 *
 * `rows` needs room for all rows that match before doubles are dropped: the
 * `count` of the table is always enough. Returns GG_ENOSPC when it is not,
 * GG_ETOPIC for a topic of more than GG_MAX_TOPIC bytes. */
GG_NODISCARD int gg_index_match(const struct gg_index *index, uint32_t source,
                                const uint8_t *topic, uint32_t topic_size,
                                uint32_t *rows, uint32_t capacity);

#endif
