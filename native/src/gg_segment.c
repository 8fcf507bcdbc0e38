/* SPDX-License-Identifier: Apache-2.0 */
#include "gg/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(sizeof(struct gg_ring_shared) == 2 * (size_t)GG_LINE &&
                   sizeof(struct gg_park) == (size_t)GG_LINE &&
                   sizeof(struct gg_control) == 7 * (size_t)GG_LINE,
               "the fields of the two ends stand on separate lines");

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static int is_capacity(uint32_t capacity)
{
    return capacity >= GG_RING_LEAST && capacity <= GG_RING_MOST &&
           (capacity & (capacity - 1)) == 0;
}

/* No overflow with capacities of at most GG_RING_MOST. */
static size_t file_size(uint32_t up_capacity, uint32_t down_capacity)
{
    return page_size() + up_capacity + down_capacity;
}

/* Put `size` bytes of the file at `offset` to this address. */
static int place(int fd, uint8_t *at, size_t size, size_t offset)
{
    void *mapped = mmap(at, size, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_FIXED, fd, (off_t)offset);

    return mapped == MAP_FAILED ? GG_ESYSTEM : GG_OK;
}

static int place_all(const struct gg_segment *segment, int fd, size_t page)
{
    size_t up = segment->up_capacity;
    size_t down = segment->down_capacity;

    if (place(fd, segment->base, page, 0) != GG_OK ||
        place(fd, segment->up, up, page) != GG_OK ||
        place(fd, segment->up + up, up, page) != GG_OK ||
        place(fd, segment->down, down, page + up) != GG_OK ||
        place(fd, segment->down + down, down, page + up) != GG_OK)
        return GG_ESYSTEM;
    return madvise(segment->base, segment->size, MADV_DONTFORK) == 0
               ? GG_OK
               : GG_ESYSTEM;
}

static int map(struct gg_segment *segment, int fd, uint32_t up_capacity,
               uint32_t down_capacity)
{
    size_t page = page_size();
    struct gg_segment made = {
        .size = page + 2 * ((size_t)up_capacity + down_capacity),
        .up_capacity = up_capacity,
        .down_capacity = down_capacity,
    };
    uint8_t *base = mmap(NULL, made.size, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (base == MAP_FAILED)
        return GG_ESYSTEM;
    made.base = base;
    made.control = (struct gg_control *)(void *)base;
    made.up = base + page;
    made.down = made.up + 2 * (size_t)up_capacity;
    if (place_all(&made, fd, page) != GG_OK) {
        int error = errno;

        (void)munmap(base, made.size);
        errno = error;
        return GG_ESYSTEM;
    }
    *segment = made;
    return GG_OK;
}

static int new_memfd(const char *name)
{
    int fd = memfd_create(name,
                          MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

    if (fd == -1 && errno == EINVAL) /* before Linux 6.3 */
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd;
}

static int allocate(int fd, size_t size)
{
    int status;

    if (ftruncate(fd, (off_t)size) != 0)
        return -1;
    do {
        status = fallocate(fd, 0, 0, (off_t)size);
    } while (status != 0 && errno == EINTR);
    return status;
}

int gg_segment_create(struct gg_segment *segment, uint32_t up_capacity,
                      uint32_t down_capacity, int *fd)
{
    struct gg_segment made;
    int status = GG_ESYSTEM;
    int error;
    int file;

    if (!is_capacity(up_capacity) || !is_capacity(down_capacity))
        return GG_EINVAL;
    file = new_memfd("greengrass-rings");
    if (file == -1)
        return GG_ESYSTEM;
    if (allocate(file, file_size(up_capacity, down_capacity)) == 0)
        status = map(&made, file, up_capacity, down_capacity);
    if (status == GG_OK) {
        made.control->geometry.magic = GG_SEGMENT_MAGIC;
        made.control->geometry.up_capacity = up_capacity;
        made.control->geometry.down_capacity = down_capacity;
        if (fcntl(file, F_ADD_SEALS, SEALS) == 0) {
            *segment = made;
            *fd = file;
            return GG_OK;
        }
        status = GG_ESYSTEM;
        error = errno;
        gg_segment_unmap(&made);
        errno = error;
    }
    error = errno;
    (void)close(file);
    errno = error;
    return status;
}

int gg_segment_attach(struct gg_segment *segment, int fd)
{
    struct gg_geometry first;
    struct stat facts;
    ssize_t got;
    int seals = fcntl(fd, F_GET_SEALS);

    if (seals == -1 && errno != EINVAL) /* EINVAL: no memfd */
        return GG_ESYSTEM;
    if (seals == -1 || (seals & SEALS) != SEALS || (seals & F_SEAL_WRITE) != 0)
        return GG_ESEGMENT;
    if (fstat(fd, &facts) != 0)
        return GG_ESYSTEM;
    do {
        got = pread(fd, &first, sizeof first, 0);
    } while (got == -1 && errno == EINTR);
    if (got == -1)
        return GG_ESYSTEM;
    if (got != (ssize_t)sizeof first ||
        first.magic != GG_SEGMENT_MAGIC || !is_capacity(first.up_capacity) ||
        !is_capacity(first.down_capacity) ||
        facts.st_size !=
            (off_t)file_size(first.up_capacity, first.down_capacity))
        return GG_ESEGMENT;
    return map(segment, fd, first.up_capacity, first.down_capacity);
}

void gg_segment_unmap(struct gg_segment *segment)
{
    if (segment->base == NULL)
        return;
    (void)munmap(segment->base, segment->size);
    segment->base = NULL;
    segment->control = NULL;
}
