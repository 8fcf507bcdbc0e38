/* SPDX-License-Identifier: Apache-2.0 */
#include "gg_test.h"

#include <dirent.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TIMEOUT_S = 60 };

static struct gg_test *tests;

void gg_test_register(struct gg_test *test)
{
    struct gg_test **at = &tests;

    while (*at != NULL)
        at = &(*at)->next;
    *at = test;
}

void *gg_test_guarded(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t room = (size + page - 1) / page * page;
    char *start = mmap(NULL, room + page, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(start != MAP_FAILED);
    CHECK_INT(0, mprotect(start + room, page, PROT_NONE));
    return start + room - size;
}

static int count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int count = 0;

    if (folder == NULL) /* not Linux */
        return 0;
    while (readdir(folder) != NULL)
        count++;
    (void)closedir(folder);
    return count;
}

static void run_checked(const struct gg_test *test)
{
    int before = count_descriptors();

    test->run();
    CHECK_INT(before, count_descriptors());
}

static int run_forked(const struct gg_test *test)
{
    int status = 0;
    pid_t child = fork();

    if (child == -1) {
        perror("fork");
        return 1;
    }
    if (child == 0) {
        (void)alarm(TIMEOUT_S);
        run_checked(test);
        exit(0); /* with the exit handlers: the leak check is one */
    }
    if (waitpid(child, &status, 0) != child) {
        perror("waitpid");
        return 1;
    }
    if (WIFSIGNALED(status))
        (void)fprintf(stderr, "%s: signal %d (%s)\n", test->name,
                      WTERMSIG(status), strsignal(WTERMSIG(status)));
    return status != 0;
}

/* Whether GG_TEST_SKIP, names with spaces between them, has this one. */
static int is_skipped(const struct gg_test *test)
{
    const char *at = getenv("GG_TEST_SKIP");
    size_t length = strlen(test->name);

    while (at != NULL && *at != '\0') {
        size_t word = strcspn(at, " ");

        if (word == length && memcmp(at, test->name, length) == 0)
            return 1;
        at += word + strspn(at + word, " ");
    }
    return 0;
}

int main(int argc, char **argv)
{
    int in_process = getenv("GG_TEST_NO_FORK") != NULL;
    int run = 0;
    int failed = 0;

    for (const struct gg_test *test = tests; test; test = test->next) {
        int bad = 0;

        if (argc > 1 && strcmp(argv[1], test->name) != 0)
            continue;
        if (is_skipped(test)) {
            printf("skipped %s\n", test->name);
            continue;
        }
        run++;
        if (in_process)
            run_checked(test);
        else
            bad = run_forked(test);
        failed += bad;
        if (bad)
            (void)fprintf(stderr, "FAILED %s\n", test->name);
    }
    printf("%s: %d tests, %d failed\n", argv[0], run, failed);
    return failed != 0 || run == 0;
}
