/* SPDX-License-Identifier: Apache-2.0 */
#include "gg/bulk.h"
#include "gg/segment.h"
#include "gg_test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { UP = 1 << 16, DOWN = 1 << 17 };

TEST(both_ends_see_the_same_memory)
{
    struct gg_segment core;
    struct gg_segment worker;
    int fd = -1;

    CHECK_INT(GG_OK, gg_segment_create(&core, UP, DOWN, &fd));
    CHECK_INT(GG_OK, gg_segment_attach(&worker, fd));
    CHECK_INT(0, close(fd));
    CHECK_INT(UP, worker.up_capacity);
    CHECK_INT(DOWN, worker.down_capacity);
    CHECK(core.base != worker.base);
    core.up[5] = 1;
    core.down[6] = 2;
    gg_store_seq(&core.control->down.tail, 3);
    CHECK_INT(1, worker.up[5]);
    CHECK_INT(2, worker.down[6]);
    CHECK_INT(3, gg_load_seq(&worker.control->down.tail));
    gg_segment_unmap(&worker);
    gg_segment_unmap(&worker);
    CHECK_INT(1, core.up[5]);
    gg_segment_unmap(&core);
}

TEST(each_ring_is_there_twice_back_to_back)
{
    struct gg_segment segment;
    volatile uint8_t *up;
    volatile uint8_t *down;
    int fd = -1;

    CHECK_INT(GG_OK, gg_segment_create(&segment, UP, DOWN, &fd));
    CHECK_INT(0, close(fd));
    /* Volatile, for the compiler does not know that the two are one. */
    up = segment.up;
    down = segment.down;
    for (int i = -4; i < 4; i++) {
        up[UP + i] = 1;
        down[DOWN + i] = 2;
    }
    CHECK_INT(1, up[0]);
    CHECK_INT(1, up[3]);
    CHECK_INT(0, up[4]);
    CHECK_INT(1, up[2 * UP - 1]);
    CHECK_INT(2, down[0]);
    CHECK_INT(0, down[4]);
    down[2 * DOWN - 1] = 9;
    CHECK_INT(9, down[DOWN - 1]);
    gg_segment_unmap(&segment);
}

TEST(nobody_can_change_the_size_or_the_seals)
{
    struct gg_segment segment;
    int fd = -1;

    CHECK_INT(GG_OK, gg_segment_create(&segment, UP, UP, &fd));
    CHECK_INT(-1, ftruncate(fd, 0));
    CHECK_INT(EPERM, errno);
    CHECK_INT(-1, ftruncate(fd, 1 << 20));
    CHECK_INT(-1, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    CHECK_INT(FD_CLOEXEC, fcntl(fd, F_GETFD));
    CHECK_INT(0, close(fd));
    gg_segment_unmap(&segment);
}

TEST(a_hole_reads_as_zeros_and_does_not_fault)
{
    struct gg_segment segment;
    int fd = -1;

    CHECK_INT(GG_OK, gg_segment_create(&segment, UP, UP, &fd));
    memset(segment.up, 7, UP);
    CHECK_INT(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                           lseek(fd, 0, SEEK_END)));
    CHECK_INT(0, segment.up[0]);
    CHECK_INT(0, segment.up[2 * UP - 1]);
    segment.down[2 * UP - 1] = 1;
    CHECK_INT(0, gg_load_seq(&segment.control->up.tail));
    CHECK_INT(0, close(fd));
    gg_segment_unmap(&segment);
}

TEST(capacities_are_checked)
{
    struct gg_segment segment;
    int fd = -7;

    CHECK_INT(GG_EINVAL, gg_segment_create(&segment, UP - 1, UP, &fd));
    CHECK_INT(GG_EINVAL, gg_segment_create(&segment, UP, UP / 2, &fd));
    CHECK_INT(GG_EINVAL,
              gg_segment_create(&segment, UP, GG_RING_MOST * 2, &fd));
    CHECK_INT(-7, fd);
}

/* A memfd of `size` bytes with these first words and seals. */
static int forge(size_t size, uint32_t magic, uint32_t up, uint32_t down,
                 int seals)
{
    uint32_t first[3] = {magic, up, down};
    int fd = memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    CHECK(fd != -1);
    CHECK_INT(0, ftruncate(fd, (off_t)size));
    CHECK_INT(sizeof first < size ? sizeof first : size,
              pwrite(fd, first, sizeof first < size ? sizeof first : size, 0));
    CHECK_INT(0, fcntl(fd, F_ADD_SEALS, seals));
    return fd;
}

static void refuse(int expected, int fd)
{
    struct gg_segment segment;

    CHECK_INT(expected, gg_segment_attach(&segment, fd));
    CHECK_INT(0, close(fd));
}

TEST(what_is_no_segment_is_refused)
{
    const int all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    const size_t size = (size_t)sysconf(_SC_PAGESIZE) + UP + DOWN;
    struct gg_segment segment;
    int pipes[2];

    refuse(GG_ESEGMENT, forge(size, GG_SEGMENT_MAGIC, UP, DOWN, 0));
    refuse(GG_ESEGMENT, forge(size, GG_SEGMENT_MAGIC, UP, DOWN,
                              F_SEAL_SHRINK | F_SEAL_GROW));
    refuse(GG_ESEGMENT,
           forge(size, GG_SEGMENT_MAGIC, UP, DOWN, all | F_SEAL_WRITE));
    refuse(GG_ESEGMENT, forge(size, 1, UP, DOWN, all));
    refuse(GG_ESEGMENT, forge(size - 1, GG_SEGMENT_MAGIC, UP, DOWN, all));
    refuse(GG_ESEGMENT, forge(size + 1, GG_SEGMENT_MAGIC, UP, DOWN, all));
    refuse(GG_ESEGMENT, forge(8, GG_SEGMENT_MAGIC, UP, DOWN, all));
    refuse(GG_ESEGMENT,
           forge(size, GG_SEGMENT_MAGIC, UP + DOWN, UINT32_MAX - UP, all));
    refuse(GG_ESEGMENT, forge(size, GG_SEGMENT_MAGIC, 0, UP + DOWN, all));
    CHECK_INT(0, pipe2(pipes, O_CLOEXEC));
    refuse(GG_ESEGMENT, pipes[0]);
    CHECK_INT(0, close(pipes[1]));
    CHECK_INT(GG_ESYSTEM, gg_segment_attach(&segment, pipes[1]));
    CHECK_INT(EBADF, errno);
    {
        int good = forge(size, GG_SEGMENT_MAGIC, UP, DOWN, all);

        CHECK_INT(GG_OK, gg_segment_attach(&segment, good));
        CHECK_INT(0, close(good));
        gg_segment_unmap(&segment);
    }
}

static int child_with_a_passed_descriptor(int socket)
{
    struct gg_segment segment;
    uint8_t bytes[GG_FRAME_HEADER];
    int fd = -1;

    (void)alarm(10);
    while (gg_bulk_receive(socket, bytes, sizeof bytes, &fd) == GG_AGAIN)
        (void)usleep(1000);
    if (gg_segment_attach(&segment, fd) != GG_OK || segment.up[77] != 7)
        return 1;
    segment.down[DOWN + 5] = 5;
    return 0;
}

TEST(a_segment_is_attached_from_a_passed_descriptor)
{
    struct gg_segment segment;
    int sockets[2];
    int status = 0;
    int fd = -1;
    pid_t child;

    CHECK_INT(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
    child = fork();
    if (child == 0)
        _exit(child_with_a_passed_descriptor(sockets[1]));
    CHECK_INT(GG_OK, gg_segment_create(&segment, UP, DOWN, &fd));
    segment.up[77] = 7;
    CHECK_INT(GG_OK, gg_bulk_send(sockets[0], fd, 1));
    CHECK_INT(child, waitpid(child, &status, 0));
    CHECK_INT(0, status);
    CHECK_INT(5, segment.down[5]);
    CHECK_INT(0, close(fd));
    CHECK_INT(0, close(sockets[0]));
    CHECK_INT(0, close(sockets[1]));
    gg_segment_unmap(&segment);
}

TEST(the_mapping_does_not_pass_over_fork)
{
    struct gg_segment segment;
    int status = 0;
    int fd = -1;
    pid_t child;

    CHECK_INT(GG_OK, gg_segment_create(&segment, UP, DOWN, &fd));
    CHECK_INT(0, close(fd));
    child = fork();
    if (child == 0)
        _exit(msync(segment.base, segment.size, MS_ASYNC) == -1 &&
                      errno == ENOMEM
                  ? 0
                  : 1);
    CHECK_INT(child, waitpid(child, &status, 0));
    CHECK_INT(0, status);
    CHECK_INT(0, segment.up[0]);
    gg_segment_unmap(&segment);
}
