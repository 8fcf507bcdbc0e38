/* SPDX-License-Identifier: Apache-2.0 */
/* What libFuzzer's main does, for compilers without libFuzzer: run every file
 * of the folders given, then `-runs=N` mutations of them (-seed=N repeats).
 * There is no coverage feedback. The input that crashed is left in the file
 * crash-replay of the working directory. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILES = 4096, ROOM = 1 << 16 };

struct input {
    uint8_t *data;
    size_t size;
};

static struct input inputs[FILES];
static size_t input_count;
static uint64_t state = 1;
static const uint8_t *running;
static size_t running_size;

static uint64_t draw(uint64_t below) /* xorshift64* */
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return below ? state * 0x2545F4914F6CDD1D % below : 0;
}

static void load(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(ROOM);

    if (file == NULL || data == NULL || input_count == FILES) {
        perror(path);
        exit(2);
    }
    inputs[input_count].size = fread(data, 1, ROOM, file);
    inputs[input_count++].data = data;
    (void)fclose(file);
}

static void load_folder(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;

    if (folder == NULL) {
        load(path);
        return;
    }
    while ((entry = readdir(folder)) != NULL) {
        char name[4096];

        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        load(name);
    }
    (void)closedir(folder);
}

/* Change a few bytes, cut, repeat a piece, or splice two inputs. */
static size_t mutate(uint8_t *data, size_t size)
{
    for (uint64_t times = 1 + draw(6); times > 0; times--) {
        size_t at = (size_t)draw(size + 1);
        const struct input *other = &inputs[draw(input_count)];
        size_t piece = (size_t)draw(other->size + 1);

        switch (draw(6)) {
        case 0: /* a random byte */
            if (at < size)
                data[at] = (uint8_t)draw(256);
            break;
        case 1: /* one bit */
            if (at < size)
                data[at] ^= (uint8_t)(1u << draw(8));
            break;
        case 2: /* an interesting byte */
            if (at < size)
                data[at] = (uint8_t) "/+#$\0\n?\377"[draw(8)];
            break;
        case 3: /* cut */
            size = at;
            break;
        case 4: /* take a piece of another input, to the end of ours */
            if (size + piece <= ROOM) {
                memcpy(data + size, other->data, piece);
                size += piece;
            }
            break;
        default: /* take out a piece */
            piece = (size_t)draw(size - at + 1);
            memmove(data + at, data + at + piece, size - at - piece);
            size -= piece;
            break;
        }
    }
    return size;
}

static void keep(int number)
{
    int file = open("crash-replay", O_WRONLY | O_CREAT | O_TRUNC, 0600);

    if (file != -1) {
        (void)!write(file, running, running_size);
        (void)close(file);
    }
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void run(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size); /* so that ASan sees the first byte off */

    if (exact == NULL && size > 0)
        exit(2);
    running = data;
    running_size = size;
    if (size > 0)
        memcpy(exact, data, size);
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

int main(int argc, char **argv)
{
    static uint8_t data[ROOM];
    unsigned long runs = 0;

    (void)signal(SIGABRT, keep);
    (void)signal(SIGSEGV, keep);
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], "-runs=", 6) == 0)
            runs = strtoul(argv[i] + 6, NULL, 10);
        else if (strncmp(argv[i], "-seed=", 6) == 0)
            state = strtoull(argv[i] + 6, NULL, 10) * 2 + 1;
        else
            load_folder(argv[i]);
    for (size_t i = 0; i < input_count; i++)
        run(inputs[i].data, inputs[i].size);
    for (unsigned long i = 0; i < runs && input_count > 0; i++) {
        const struct input *seed = &inputs[draw(input_count)];

        memcpy(data, seed->data, seed->size);
        run(data, mutate(data, seed->size));
    }
    printf("%s: %zu inputs, %lu mutations\n", argv[0], input_count, runs);
    for (size_t i = 0; i < input_count; i++)
        free(inputs[i].data);
    return input_count == 0;
}
