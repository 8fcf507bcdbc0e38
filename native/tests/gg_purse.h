/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GG_PURSE_H
#define GG_PURSE_H

#include "gg/router.h"

#include <stdlib.h>
#include <string.h>

/* Memory that fails at one allocation, and counts what was not given back. A
 * block that is resized always moves, so that ASan sees who kept the old one.
 */
struct gg_purse {
    long taken, fail_at, held;
};

struct gg_purse_block {
    size_t size;
    size_t zero; /* keeps what follows aligned to 16 bytes */
};

static void *gg_purse_resize(void *context, void *block, size_t size)
{
    struct gg_purse *purse = context;
    struct gg_purse_block *old =
        block == NULL ? NULL : (struct gg_purse_block *)block - 1;
    struct gg_purse_block *made;

    if (size == 0) {
        purse->held -= old != NULL;
        free(old);
        return NULL;
    }
    if (++purse->taken == purse->fail_at)
        return NULL;
    made = malloc(sizeof *made + size);
    if (made == NULL)
        abort();
    made->size = size;
    purse->held++;
    if (old != NULL) {
        memcpy(made + 1, old + 1, old->size < size ? old->size : size);
        purse->held--;
        free(old);
    }
    return made + 1;
}

#endif
