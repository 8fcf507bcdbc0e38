/* SPDX-License-Identifier: Apache-2.0 */
/* Where the router's memory comes from, and the containers it is kept in. */
#include "gg/router_parts.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_SLOTS = 16 };

static void *resize_by_libc(void *context, void *block, size_t size)
{
    (void)context;
    if (size == 0) {
        free(block);
        return NULL;
    }
    return realloc(block, size);
}

struct gg_memory gg_memory_default(void)
{
    struct gg_memory memory = {.resize = resize_by_libc};

    return memory;
}

void *gg_memory_take(const struct gg_memory *memory, size_t size)
{
    return memory->resize(memory->context, NULL, size);
}

void *gg_memory_move(const struct gg_memory *memory, void *block, size_t size)
{
    return memory->resize(memory->context, block, size);
}

void gg_memory_free(const struct gg_memory *memory, void *block)
{
    if (block != NULL)
        (void)memory->resize(memory->context, block, 0);
}

/* Blobs: bytes that several owners share. */

void gg_blob_init(struct gg_blob *blob, size_t size)
{
    blob->size = size;
    blob->length = size;
    blob->content = NULL;
    blob->references = 1;
    blob->offset = 0;
    blob->handle = GG_NO_HANDLE;
    blob->lent = 0;
    blob->secret = 0;
}

static struct gg_blob *blank_blob(const struct gg_memory *memory, size_t size)
{
    struct gg_blob *blob;

    if (size > SIZE_MAX / 2)
        return NULL;
    blob = gg_memory_take(memory, sizeof *blob + size);
    if (blob != NULL)
        gg_blob_init(blob, size);
    return blob;
}

struct gg_blob *gg_blob_held(const struct gg_memory *memory, int handle,
                             size_t length)
{
    struct gg_blob *blob = blank_blob(memory, 0);

    if (blob != NULL) {
        blob->handle = handle;
        blob->length = length;
    }
    return blob;
}

struct gg_blob *gg_blob_lent(const struct gg_memory *memory,
                             struct gg_bytes head, int handle, uint64_t offset,
                             size_t length)
{
    struct gg_blob *blob = gg_blob_new(memory, head.at, head.size);

    if (blob != NULL) {
        blob->handle = handle;
        blob->offset = offset;
        blob->lent = 1;
        blob->length += length;
    }
    return blob;
}

struct gg_blob *gg_blob_elsewhere(struct gg_blob *blob)
{
    if (blob == NULL || blob->length == blob->size)
        return NULL;
    return blob->content != NULL ? blob->content : blob;
}

struct gg_blob *gg_blob_new(const struct gg_memory *memory, const void *data,
                            size_t size)
{
    struct gg_blob *blob = blank_blob(memory, size);

    if (blob != NULL && size > 0)
        memcpy(blob->bytes, data, size);
    return blob;
}

struct gg_blob *gg_blob_of(const struct gg_memory *memory, struct gg_bytes one,
                           struct gg_bytes two, struct gg_bytes three,
                           struct gg_blob *content)
{
    size_t last = content == NULL ? three.size : 0;
    struct gg_blob *blob = blank_blob(memory, one.size + two.size + last);

    if (blob == NULL)
        return NULL;
    if (content != NULL) {
        blob->content = gg_blob_keep(content);
        blob->length += content->length;
    }
    if (one.size > 0)
        memcpy(blob->bytes, one.at, one.size);
    if (two.size > 0)
        memcpy(blob->bytes + one.size, two.at, two.size);
    if (last > 0)
        memcpy(blob->bytes + one.size + two.size, three.at, last);
    return blob;
}

/* No compiler may leave this out, although nobody reads it again. */
static void wipe(uint8_t *bytes, size_t size)
{
    memset(bytes, 0, size);
    __asm__ volatile("" : : "r"(bytes) : "memory");
}

void gg_blob_drop(const struct gg_memory *memory, struct gg_blob *blob)
{
    if (blob == NULL || --blob->references > 0)
        return;
    if (blob->handle != GG_NO_HANDLE)
        memory->release(memory->owner, blob->handle);
    gg_blob_drop(memory, blob->content); /* which has none itself */
    if (blob->secret)
        wipe(blob->bytes, blob->size);
    gg_memory_free(memory, blob);
}

/* Lists. */

void gg_list_append(struct gg_list *list, struct gg_node *node)
{
    node->before = list->last;
    node->after = NULL;
    if (list->last != NULL)
        list->last->after = node;
    else
        list->first = node;
    list->last = node;
    list->count++;
}

void gg_list_prepend(struct gg_list *list, struct gg_node *node)
{
    node->before = NULL;
    node->after = list->first;
    if (list->first != NULL)
        list->first->before = node;
    else
        list->last = node;
    list->first = node;
    list->count++;
}

void gg_list_remove(struct gg_list *list, struct gg_node *node)
{
    if (node->before != NULL)
        node->before->after = node->after;
    else
        list->first = node->after;
    if (node->after != NULL)
        node->after->before = node->before;
    else
        list->last = node->before;
    node->before = NULL;
    node->after = NULL;
    list->count--;
}

/* Tables: open addressing, at most half full, so a search always ends. */

static uint32_t hash_of(uint32_t number, struct gg_bytes name)
{
    uint32_t hash = 2166136261u ^ number * 0x9E3779B1u;

    for (size_t i = 0; i < name.size; i++)
        hash = (hash ^ name.at[i]) * 16777619u;
    hash *= 0x85EBCA6Bu;
    return hash ^ hash >> 15;
}

static struct gg_bytes name_of(const struct gg_blob *name)
{
    struct gg_bytes bytes = {NULL, 0};

    if (name != NULL) {
        bytes.at = name->bytes;
        bytes.size = name->size;
    }
    return bytes;
}

/* The slot that holds the key, or the free one where it would stand. */
static struct gg_slot *seek(const struct gg_table *table, uint32_t hash,
                            uint32_t number, struct gg_bytes name)
{
    for (size_t at = hash & table->mask;; at = (at + 1) & table->mask) {
        struct gg_slot *slot = &table->slots[at];
        struct gg_bytes here;

        if (!slot->used)
            return slot;
        if (slot->hash != hash || slot->number != number)
            continue;
        here = name_of(slot->name);
        if (here.size == name.size &&
            (name.size == 0 || memcmp(here.at, name.at, name.size) == 0))
            return slot;
    }
}

struct gg_slot *gg_table_find(const struct gg_table *table, uint32_t number,
                              struct gg_bytes name)
{
    struct gg_slot *slot;

    if (table->slots == NULL)
        return NULL;
    slot = seek(table, hash_of(number, name), number, name);
    return slot->used ? slot : NULL;
}

void *gg_table_get(const struct gg_table *table, uint32_t number)
{
    const struct gg_slot *slot = gg_table_find(table, number, name_of(NULL));

    return slot == NULL ? NULL : slot->value;
}

int gg_table_reserve(const struct gg_memory *memory, struct gg_table *table)
{
    struct gg_table larger = {NULL, FIRST_SLOTS - 1, table->used};

    if (table->slots != NULL) {
        if (2 * (table->used + 1) <= table->mask + 1)
            return GG_OK;
        larger.mask = 2 * table->mask + 1;
    }
    if (larger.mask >= SIZE_MAX / sizeof *larger.slots)
        return GG_ENOMEM;
    larger.slots =
        gg_memory_take(memory, (larger.mask + 1) * sizeof *larger.slots);
    if (larger.slots == NULL)
        return GG_ENOMEM;
    memset(larger.slots, 0, (larger.mask + 1) * sizeof *larger.slots);
    if (table->slots != NULL)
        for (size_t i = 0; i <= table->mask; i++) {
            const struct gg_slot *old = &table->slots[i];

            if (old->used)
                *seek(&larger, old->hash, old->number, name_of(old->name)) =
                    *old;
        }
    gg_memory_free(memory, table->slots);
    *table = larger;
    return GG_OK;
}

void gg_table_put(struct gg_table *table, uint32_t number, struct gg_blob *name,
                  void *value)
{
    uint32_t hash = hash_of(number, name_of(name));
    struct gg_slot *slot = seek(table, hash, number, name_of(name));

    if (!slot->used) {
        slot->used = 1;
        slot->hash = hash;
        slot->number = number;
        slot->name = gg_blob_keep(name);
        table->used++;
    }
    slot->value = value;
}

/* Close the gap: move back what could have stood in it. */
void gg_table_remove(const struct gg_memory *memory, struct gg_table *table,
                     struct gg_slot *slot)
{
    size_t gap = (size_t)(slot - table->slots);

    gg_blob_drop(memory, slot->name);
    table->used--;
    for (size_t at = (gap + 1) & table->mask; table->slots[at].used;
         at = (at + 1) & table->mask) {
        size_t home = table->slots[at].hash & table->mask;

        if (((at - home) & table->mask) < ((at - gap) & table->mask))
            continue;
        table->slots[gap] = table->slots[at];
        gap = at;
    }
    memset(&table->slots[gap], 0, sizeof table->slots[gap]);
}

void gg_table_clear(const struct gg_memory *memory, struct gg_table *table)
{
    if (table->slots == NULL)
        return;
    for (size_t i = 0; i <= table->mask; i++)
        if (table->slots[i].used)
            gg_blob_drop(memory, table->slots[i].name);
    gg_memory_free(memory, table->slots);
    memset(table, 0, sizeof *table);
}
