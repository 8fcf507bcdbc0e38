/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GG_TEST_H
#define GG_TEST_H

/* A test is a function that checks; each runs in a fork of its own, must end
 * within 60 seconds and may not leave a descriptor open. One file with tests is
 * one program; `test_gg_frame NAME` runs one of them, GG_TEST_NO_FORK=1 keeps
 * everything in one process for a debugger, GG_TEST_SKIP="NAME NAME" leaves
 * some out. */

#include <stdio.h>
#include <stdlib.h>

struct gg_test {
    const char *name;
    void (*run)(void);
    struct gg_test *next;
};

void gg_test_register(struct gg_test *test);

#define TEST(name)                                                             \
    static void name(void);                                                    \
    __attribute__((constructor)) static void name##_register(void)             \
    {                                                                          \
        static struct gg_test test = {#name, name, NULL};                      \
        gg_test_register(&test);                                               \
    }                                                                          \
    static void name(void)

#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition)) {                                                    \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__,           \
                          #condition);                                         \
            exit(1);                                                           \
        }                                                                      \
    } while (0)

#define CHECK_INT(expected, actual)                                            \
    do {                                                                       \
        long long gg_want = (long long)(expected);                             \
        long long gg_have = (long long)(actual);                               \
        if (gg_want != gg_have) {                                              \
            (void)fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", __FILE__,   \
                          __LINE__, #actual, gg_have, gg_want);                \
            exit(1);                                                           \
        }                                                                      \
    } while (0)

/* `size` writable bytes whose last one is followed by a page that must not be
 * touched; aligned as far as `size` allows. Given back when the test ends. */
void *gg_test_guarded(size_t size);

#endif
