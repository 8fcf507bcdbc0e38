/* SPDX-License-Identifier: Apache-2.0 */
#include "gg/index.h"

#include "gg/frame.h"

#include <string.h>

/* One block of memory holds, in this order: the index, its nodes, its edges,
 * its entries, and a copy of the filters' text.
 *
 * Nodes are numbered. A node is found from its parent in one of two ways: `+`
 * by the field `plus`, a literal level by the edge (parent, level) in one open
 * hash table for all nodes. A root is the edge (NONE, source). '#' is no node:
 * its rows hang on the node before it.
 *
 * The table comes from the operator's group file, only the topics that are
 * looked up come from peers. So nobody who is not trusted can fill the hash
 * table with colliding keys, and a probe ends at the first free slot, of which
 * at least half of all are. */

#define NONE UINT32_MAX

enum { MAX_LEVELS = GG_MAX_TOPIC + 1 };

struct node {
    uint32_t plus; /* node, or NONE */
    uint32_t rows; /* first entry of the filters that end here, or NONE */
    uint32_t rest; /* first entry of the filters that go on with '#' */
};

struct edge {
    uint32_t parent; /* NONE: a root; then `level` is the source */
    uint32_t child;  /* NONE: this slot is free */
    uint32_t level;  /* offset in the text */
    uint32_t size;
};

struct entry {
    uint32_t row;
    uint32_t next;
};

struct gg_index {
    struct node *nodes;
    struct edge *edges;
    struct entry *entries;
    uint8_t *text;
    uint32_t node_count;
    uint32_t mask; /* number of slots for edges, less one */
};

struct layout {
    size_t nodes, edges, entries, text, end; /* offsets in the memory */
    uint32_t slots;
};

struct level {
    const uint8_t *start;
    uint32_t size;
    uint32_t hash;
};

/* FNV-1a over the level; hash_edge() mixes the parent in. */
static uint32_t hash_level(const uint8_t *start, uint32_t size)
{
    uint32_t hash = 2166136261u;

    for (uint32_t i = 0; i < size; i++)
        hash = (hash ^ start[i]) * 16777619u;
    return hash;
}

static uint32_t hash_edge(uint32_t parent, uint32_t level)
{
    uint32_t hash = (level ^ parent * 0x9E3779B1u) * 0x85EBCA6Bu;

    return hash ^ hash >> 15;
}

/* Cut text[0..size) at '/'; there is always at least one level. */
static uint32_t split(const uint8_t *text, uint32_t size, struct level *levels)
{
    uint32_t count = 0;
    uint32_t from = 0;

    for (uint32_t at = 0; at <= size; at++) {
        if (at < size && text[at] != '/')
            continue;
        levels[count].start = text + from;
        levels[count].size = at - from;
        levels[count].hash = hash_level(text + from, at - from);
        count++;
        from = at + 1;
    }
    return count;
}

static int is_level(const struct level *level, char wildcard)
{
    return level->size == 1 && level->start[0] == (uint8_t)wildcard;
}

/* Check a filter and count its levels. */
static int check_filter(const uint8_t *filter, uint32_t size, uint32_t *levels)
{
    uint32_t count = 1;

    if (size == 0 || size > GG_MAX_TOPIC)
        return GG_EFILTER;
    for (uint32_t at = 0; at < size; at++) {
        int first = at == 0 || filter[at - 1] == '/';
        int last = at + 1 == size;

        switch (filter[at]) {
        case 0:
            return GG_EFILTER;
        case '/':
            count++;
            break;
        case '+':
            if (!first || (!last && filter[at + 1] != '/'))
                return GG_EFILTER;
            break;
        case '#':
            if (!first || !last)
                return GG_EFILTER;
            break;
        default:
            break;
        }
    }
    *levels = count;
    return GG_OK;
}

/* Lay the parts out; sizes are summed in 64 bits, where they cannot overflow:
 * at most 2^20 rows of 513 levels each. */
static int plan(const struct gg_subscription *table, uint32_t count,
                const uint8_t *text, uint32_t text_size, struct layout *layout)
{
    uint64_t nodes = 0;
    uint64_t slots = 2;
    uint64_t end;

    if (count > GG_MAX_SUBSCRIPTIONS)
        return GG_EINVAL;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t levels = 0;
        int status;

        if (table[i].filter > text_size ||
            table[i].filter_size > text_size - table[i].filter)
            return GG_EINVAL;
        status =
            check_filter(text + table[i].filter, table[i].filter_size, &levels);
        if (status != GG_OK)
            return status;
        nodes += 1 + (uint64_t)levels; /* a root, and one per level */
    }
    while (slots < 2 * nodes)
        slots *= 2;
    end = sizeof(struct gg_index) + nodes * sizeof(struct node) +
          slots * sizeof(struct edge) + count * sizeof(struct entry) +
          text_size;
    if (end > SIZE_MAX / 2 || slots > NONE / 2)
        return GG_EINVAL;
    layout->nodes = sizeof(struct gg_index);
    layout->edges = layout->nodes + (size_t)nodes * sizeof(struct node);
    layout->entries = layout->edges + (size_t)slots * sizeof(struct edge);
    layout->text = layout->entries + count * sizeof(struct entry);
    layout->end = (size_t)end;
    layout->slots = (uint32_t)slots;
    return GG_OK;
}

int gg_index_size(const struct gg_subscription *table, uint32_t count,
                  const uint8_t *text, uint32_t text_size, size_t *size)
{
    struct layout layout;
    int status = plan(table, count, text, text_size, &layout);

    if (status == GG_OK)
        *size = layout.end;
    return status;
}

/* The slot that holds the edge, or the free one where it would stand. */
static struct edge *find_edge(const struct gg_index *index, uint32_t parent,
                              const struct level *level)
{
    uint32_t at = hash_edge(parent, level->hash) & index->mask;

    for (;; at = (at + 1) & index->mask) {
        struct edge *edge = &index->edges[at];

        if (edge->child == NONE)
            return edge;
        if (edge->parent == parent && edge->size == level->size &&
            memcmp(index->text + edge->level, level->start, level->size) == 0)
            return edge;
    }
}

static struct edge *find_root(const struct gg_index *index, uint32_t source)
{
    uint32_t at = hash_edge(NONE, source) & index->mask;

    for (;; at = (at + 1) & index->mask) {
        struct edge *edge = &index->edges[at];

        if (edge->child == NONE)
            return edge;
        if (edge->parent == NONE && edge->level == source)
            return edge;
    }
}

static uint32_t add_node(struct gg_index *index)
{
    struct node *node = &index->nodes[index->node_count];

    node->plus = NONE;
    node->rows = NONE;
    node->rest = NONE;
    return index->node_count++;
}

/* The root of a source, made when it is new. */
static uint32_t add_root(struct gg_index *index, uint32_t source)
{
    struct edge *edge = find_root(index, source);

    if (edge->child == NONE) {
        edge->parent = NONE;
        edge->level = source;
        edge->size = 0;
        edge->child = add_node(index);
    }
    return edge->child;
}

/* The node one level below `parent`, made when it is new. */
static uint32_t add_level(struct gg_index *index, uint32_t parent,
                          const struct level *level)
{
    struct edge *edge;

    if (is_level(level, '+')) {
        if (index->nodes[parent].plus == NONE)
            index->nodes[parent].plus = add_node(index);
        return index->nodes[parent].plus;
    }
    edge = find_edge(index, parent, level);
    if (edge->child == NONE) {
        edge->parent = parent;
        edge->level = (uint32_t)(level->start - index->text);
        edge->size = level->size;
        edge->child = add_node(index);
    }
    return edge->child;
}

/* Enter row number `number` of the table, whose filter is in index->text. */
static void add_row(struct gg_index *index, const struct gg_subscription *row,
                    uint32_t number)
{
    struct level levels[MAX_LEVELS];
    struct entry *entry = &index->entries[number];
    uint32_t *head;
    uint32_t count = split(index->text + row->filter, row->filter_size, levels);
    uint32_t node = add_root(index, row->source);
    int rest = is_level(&levels[count - 1], '#');

    for (uint32_t i = 0; i < count - (rest ? 1u : 0u); i++)
        node = add_level(index, node, &levels[i]);
    head = rest ? &index->nodes[node].rest : &index->nodes[node].rows;
    entry->row = row->row;
    entry->next = *head;
    *head = number;
}

int gg_index_init(void *memory, size_t size,
                  const struct gg_subscription *table, uint32_t count,
                  const uint8_t *text, uint32_t text_size,
                  const struct gg_index **index)
{
    struct gg_index *made = memory;
    struct layout layout;
    int status = plan(table, count, text, text_size, &layout);

    if (status != GG_OK)
        return status;
    if ((uintptr_t)memory % 8 != 0)
        return GG_EINVAL;
    if (size < layout.end)
        return GG_ENOSPC;
    made->nodes = (void *)((uint8_t *)memory + layout.nodes);
    made->edges = (void *)((uint8_t *)memory + layout.edges);
    made->entries = (void *)((uint8_t *)memory + layout.entries);
    made->text = (uint8_t *)memory + layout.text;
    made->node_count = 0;
    made->mask = layout.slots - 1;
    for (uint32_t i = 0; i < layout.slots; i++)
        made->edges[i].child = NONE;
    if (text_size > 0)
        memcpy(made->text, text, text_size);
    for (uint32_t i = 0; i < count; i++)
        add_row(made, &table[i], i);
    *index = made;
    return GG_OK;
}

/* Heapsort: no recursion, no allocation, no bad case. */
static void sift(uint32_t *rows, uint32_t root, uint32_t count)
{
    uint32_t value = rows[root];

    for (uint32_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && rows[child + 1] > rows[child])
            child++;
        if (rows[child] <= value)
            break;
        rows[root] = rows[child];
    }
    rows[root] = value;
}

static uint32_t sort_unique(uint32_t *rows, uint32_t count)
{
    uint32_t kept = 0;

    for (uint32_t i = count / 2; i-- > 0;)
        sift(rows, i, count);
    for (uint32_t i = count; i-- > 1;) {
        uint32_t largest = rows[0];

        rows[0] = rows[i];
        rows[i] = largest;
        sift(rows, 0, i);
    }
    for (uint32_t i = 0; i < count; i++)
        if (i == 0 || rows[i] != rows[kept - 1])
            rows[kept++] = rows[i];
    return kept;
}

struct found {
    uint32_t *rows;
    uint32_t count;
    uint32_t capacity;
};

static int take(const struct gg_index *index, uint32_t entry,
                struct found *found)
{
    for (; entry != NONE; entry = index->entries[entry].next) {
        if (found->count == found->capacity)
            return GG_ENOSPC;
        found->rows[found->count++] = index->entries[entry].row;
    }
    return GG_OK;
}

/* Walk the trie depth first. A step takes one node off the stack and puts at
 * most two of the next level on it, so the stack never holds more than one
 * node per level and one; and as a trie has one way to each node, none is
 * visited twice. */
static int walk(const struct gg_index *index, uint32_t root,
                const struct level *levels, uint32_t count, int dollar,
                struct found *found)
{
    struct {
        uint32_t node, depth;
    } stack[MAX_LEVELS + 1];
    uint32_t top = 0;

    stack[top].node = root;
    stack[top++].depth = 0;
    while (top > 0) {
        const uint32_t node = stack[--top].node;
        const uint32_t depth = stack[top].depth;
        const struct edge *edge;
        int status;

        if (depth == count) {
            status = take(index, index->nodes[node].rows, found);
            if (status != GG_OK)
                return status;
            continue;
        }
        if (depth > 0 || !dollar) {
            status = take(index, index->nodes[node].rest, found);
            if (status != GG_OK)
                return status;
            if (index->nodes[node].plus != NONE) {
                stack[top].node = index->nodes[node].plus;
                stack[top++].depth = depth + 1;
            }
        }
        edge = find_edge(index, node, &levels[depth]);
        if (edge->child != NONE) {
            stack[top].node = edge->child;
            stack[top++].depth = depth + 1;
        }
    }
    return GG_OK;
}

int gg_index_match(const struct gg_index *index, uint32_t source,
                   const uint8_t *topic, uint32_t topic_size, uint32_t *rows,
                   uint32_t capacity)
{
    struct level levels[MAX_LEVELS];
    struct found found = {rows, 0, capacity};
    const struct edge *root;
    uint32_t count;
    int status;

    if (topic_size > GG_MAX_TOPIC)
        return GG_ETOPIC;
    root = find_root(index, source);
    if (root->child == NONE)
        return 0;
    count = split(topic, topic_size, levels);
    status = walk(index, root->child, levels, count,
                  topic_size > 0 && topic[0] == '$', &found);
    if (status != GG_OK)
        return status;
    return (int)sort_unique(rows, found.count);
}
