/* SPDX-License-Identifier: Apache-2.0 */
#include "gg/bulk.h"
#include "gg_test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SIZE = 300000 };
static const int ALL =
    F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;

TEST(what_was_put_in_comes_out)
{
    uint8_t *in = calloc(1, SIZE);
    uint8_t *out = calloc(1, SIZE);
    int fd = -1;

    CHECK(in != NULL && out != NULL);
    for (int i = 0; i < SIZE; i++)
        in[i] = (uint8_t)(i * 7);
    CHECK_INT(GG_OK, gg_bulk_create(in, SIZE, &fd));
    CHECK_INT(GG_OK, gg_bulk_check(fd, SIZE));
    CHECK_INT(GG_OK, gg_bulk_read(fd, SIZE, out));
    CHECK(memcmp(in, out, SIZE) == 0);
    CHECK_INT(FD_CLOEXEC, fcntl(fd, F_GETFD));
    CHECK_INT(0, close(fd));
    free(in);
    free(out);
}

TEST(nobody_can_change_a_bulk_message)
{
    int fd = -1;

    CHECK_INT(GG_OK, gg_bulk_create("hello", 5, &fd));
    CHECK_INT(-1, pwrite(fd, "x", 1, 0));
    CHECK_INT(-1, ftruncate(fd, 0));
    CHECK_INT(-1, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    CHECK(mmap(NULL, 5, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
    CHECK_INT(0, close(fd));
}

TEST(sizes_are_bounded)
{
    int fd = -7;

    CHECK_INT(GG_EINVAL, gg_bulk_create("", 0, &fd));
    CHECK_INT(GG_EINVAL, gg_bulk_create("", GG_BULK_MOST + 1, &fd));
    CHECK_INT(-7, fd);
}

TEST(a_descriptor_that_could_change_is_refused)
{
    uint8_t out[5];
    int pipes[2];

    for (int seals = 0; seals < 16; seals++) {
        int fd = memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        int expected = seals == ALL ? GG_OK : GG_EBULK;

        CHECK(fd != -1);
        CHECK_INT(5, write(fd, "hello", 5));
        CHECK_INT(0, fcntl(fd, F_ADD_SEALS, seals));
        CHECK_INT(expected, gg_bulk_read(fd, 5, out));
        CHECK_INT(GG_EBULK, gg_bulk_read(fd, 4, out));
        CHECK_INT(GG_EBULK, gg_bulk_read(fd, 6, out));
        CHECK_INT(0, close(fd));
    }
    CHECK_INT(0, pipe2(pipes, O_CLOEXEC));
    CHECK_INT(GG_EBULK, gg_bulk_read(pipes[0], 5, out));
    CHECK_INT(0, close(pipes[0]));
    CHECK_INT(0, close(pipes[1]));
    CHECK_INT(GG_EBULK, gg_bulk_read(pipes[0], 5, out));
}

TEST(a_reference_survives_its_bytes)
{
    static const uint8_t expected[] = {4, 3, 2, 1, 8, 7, 6, 5};
    struct gg_reference reference = {0x01020304, 0x05060708};
    uint8_t bytes[GG_REFERENCE_SIZE];

    gg_reference_write(bytes, &reference);
    CHECK(memcmp(expected, bytes, sizeof bytes) == 0);
    memset(&reference, 0, sizeof reference);
    gg_reference_read(bytes, &reference);
    CHECK_INT(0x01020304, reference.size);
    CHECK_INT(0x05060708, reference.number);
}

TEST(a_reference_to_lent_bytes_says_where_they_are)
{
    static const uint8_t expected[] = {4, 3, 2, 1, 8, 7, 6, 5,
                                       8, 7, 6, 5, 4, 3, 2, 1};
    const struct gg_reference reference = {0x01020304, 0x05060708};
    uint8_t bytes[GG_LENT_SIZE];

    gg_lent_write(bytes, &reference, UINT64_C(0x0102030405060708));
    CHECK(memcmp(expected, bytes, sizeof bytes) == 0);
}

TEST(of_lent_bytes_those_that_are_not_there_are_zero)
{
    uint8_t out[5];
    int fd = memfd_create("file", MFD_CLOEXEC);

    CHECK_INT(5, write(fd, "hello", 5));
    gg_lent_read(fd, 1, 4, out);
    CHECK(memcmp("ello", out, 4) == 0);
    gg_lent_read(fd, 3, 5, out);
    CHECK(memcmp("lo\0\0\0", out, 5) == 0);
    gg_lent_read(fd, UINT64_MAX, 5, out);
    CHECK(memcmp("\0\0\0\0\0", out, 5) == 0);
    CHECK_INT(0, close(fd));
    gg_lent_read(fd, 0, 5, out);
    CHECK(memcmp("\0\0\0\0\0", out, 5) == 0);
}

TEST(a_descriptor_arrives_with_its_number)
{
    uint8_t bytes[100];
    struct gg_header header;
    int sockets[2];
    int sent = -1;
    int fd = -7;

    CHECK_INT(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
    CHECK_INT(GG_AGAIN, gg_bulk_receive(sockets[1], bytes, 100, &fd));
    CHECK_INT(-7, fd);
    CHECK_INT(GG_OK, gg_bulk_create("hello", 5, &sent));
    CHECK_INT(GG_OK, gg_bulk_send(sockets[0], -1, 0));
    CHECK_INT(GG_OK, gg_bulk_send(sockets[0], sent, 7));
    CHECK_INT(0, close(sent));
    /* Bytes before a descriptor may come with it, none behind it do. */
    CHECK_INT(24, gg_bulk_receive(sockets[1], bytes, 24, &fd));
    CHECK_INT(-1, fd);
    CHECK_INT(24, gg_bulk_receive(sockets[1], bytes, 100, &fd));
    gg_header_read(bytes, &header);
    CHECK_INT(GG_CONTROL, header.kind);
    CHECK_INT(7, header.id);
    CHECK_INT(FD_CLOEXEC, fcntl(fd, F_GETFD));
    CHECK_INT(GG_OK, gg_bulk_read(fd, 5, bytes));
    CHECK_INT(0, close(fd));
    CHECK_INT(0, close(sockets[0]));
    CHECK_INT(0, gg_bulk_receive(sockets[1], bytes, 100, &fd));
    CHECK_INT(GG_ECLOSED, gg_bulk_send(sockets[1], -1, 0));
    CHECK_INT(0, close(sockets[1]));
}

TEST(a_full_socket_does_not_block)
{
    int sockets[2];
    int status = GG_OK;

    CHECK_INT(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
    while (status == GG_OK)
        status = gg_bulk_send(sockets[0], -1, 0);
    CHECK_INT(GG_AGAIN, status);
    CHECK_INT(0, close(sockets[0]));
    CHECK_INT(0, close(sockets[1]));
}

/* Send `count` descriptors in one message. */
static void send_many(int socket, int fd, size_t count)
{
    char control[CMSG_SPACE(32 * sizeof(int))];
    struct iovec part = {.iov_base = control, .iov_len = 24};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *rights;

    memset(control, 0, sizeof control);
    rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(count * sizeof(int));
    for (size_t i = 0; i < count; i++)
        memcpy(CMSG_DATA(rights) + i * sizeof fd, &fd, sizeof fd);
    CHECK_INT(24, sendmsg(socket, &message, 0));
}

TEST(more_descriptors_than_one_are_closed_and_refused)
{
    uint8_t bytes[24];
    int sockets[2];
    int fd = -7;

    CHECK_INT(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
    for (size_t count = 2; count <= 32; count++) {
        send_many(sockets[0], sockets[0], count);
        CHECK_INT(GG_EBULK, gg_bulk_receive(sockets[1], bytes, 24, &fd));
    }
    CHECK_INT(-7, fd);
    CHECK_INT(0, close(sockets[0])); /* the runner counts what is left */
    CHECK_INT(0, close(sockets[1]));
}
