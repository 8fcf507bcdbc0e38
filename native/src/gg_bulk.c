/* SPDX-License-Identifier: Apache-2.0 */
#include "gg/bulk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif

enum {
    SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL,
    MOST_DESCRIPTORS = 4 /* more are closed by the kernel */
};

/* As in a header: little-endian, whatever the processor. */
static uint32_t load32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
           (uint32_t)at[3] << 24;
}

static void store32(uint8_t *at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

void gg_reference_read(const uint8_t bytes[GG_REFERENCE_SIZE],
                       struct gg_reference *reference)
{
    reference->size = load32(bytes);
    reference->number = load32(bytes + 4);
}

void gg_reference_write(uint8_t bytes[GG_REFERENCE_SIZE],
                        const struct gg_reference *reference)
{
    store32(bytes, reference->size);
    store32(bytes + 4, reference->number);
}

void gg_lent_write(uint8_t bytes[GG_LENT_SIZE],
                   const struct gg_reference *reference, uint64_t offset)
{
    gg_reference_write(bytes, reference);
    store32(bytes + 8, (uint32_t)offset);
    store32(bytes + 12, (uint32_t)(offset >> 32));
}

static void close_keeping_errno(int fd)
{
    int error = errno;

    (void)close(fd);
    errno = error;
}

static int write_all(int fd, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t wrote = write(fd, data, size);

        if (wrote == -1 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return GG_ESYSTEM;
        data += wrote;
        size -= (size_t)wrote;
    }
    return GG_OK;
}

int gg_bulk_create(const void *data, uint32_t size, int *fd)
{
    static const char name[] = "greengrass-message";
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int made;

    if (size == 0 || size > GG_BULK_MOST)
        return GG_EINVAL;
    made = memfd_create(name, flags | MFD_NOEXEC_SEAL);
    if (made == -1 && errno == EINVAL) /* before Linux 6.3 */
        made = memfd_create(name, flags);
    if (made == -1)
        return GG_ESYSTEM;
    if (write_all(made, data, size) != GG_OK ||
        fcntl(made, F_ADD_SEALS, SEALS) != 0) {
        close_keeping_errno(made);
        return GG_ESYSTEM;
    }
    *fd = made;
    return GG_OK;
}

int gg_bulk_check(int fd, uint32_t size)
{
    struct stat facts;
    int seals = fcntl(fd, F_GET_SEALS);

    /* The size only after the seals: before, it could still change. */
    if (seals == -1 || (seals & SEALS) != SEALS || fstat(fd, &facts) != 0 ||
        facts.st_size != (off_t)size)
        return GG_EBULK;
    return GG_OK;
}

/* Returns how many bytes there were. */
static uint32_t read_all(int fd, uint64_t offset, uint32_t size, uint8_t *data)
{
    uint32_t done = 0;

    while (done < size) {
        ssize_t got =
            pread(fd, data + done, size - done, (off_t)(offset + done));

        if (got == -1 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        done += (uint32_t)got;
    }
    return done;
}

int gg_bulk_read(int fd, uint32_t size, void *data)
{
    int status = gg_bulk_check(fd, size);

    if (status == GG_OK && read_all(fd, 0, size, data) < size)
        status = GG_ESYSTEM;
    return status;
}

void gg_lent_read(int fd, uint64_t offset, uint32_t size, void *data)
{
    uint8_t *at = data;
    uint32_t done = read_all(fd, offset, size, at);

    memset(at + done, 0, size - done);
}

int gg_bulk_send(int socket, int fd, uint32_t number)
{
    const struct gg_header header = {
        .id = number, .length = GG_FRAME_HEADER, .kind = GG_CONTROL};
    uint8_t bytes[GG_FRAME_HEADER];
    struct iovec part = {.iov_base = bytes, .iov_len = sizeof bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    ssize_t sent;

    gg_header_write(bytes, &header);
    if (fd != -1) {
        struct cmsghdr *rights;

        memset(&control, 0, sizeof control);
        message.msg_control = control.room;
        message.msg_controllen = sizeof control.room;
        rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    }
    do {
        sent = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent == -1 && errno == EINTR);
    if (sent == (ssize_t)sizeof bytes)
        return GG_OK;
    if (sent == -1 && (errno == EPIPE || errno == ECONNRESET))
        return GG_ECLOSED;
    /* The kernel counts descriptors on their way for each user as well. */
    if (sent == -1 &&
        (errno == EAGAIN || errno == EWOULDBLOCK || errno == ETOOMANYREFS))
        return GG_AGAIN;
    return GG_ESYSTEM;
}

/* Keep the one descriptor; tell how many there were. */
static int take_descriptors(struct msghdr *message, int *fd)
{
    int count = 0;

    for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at != NULL;
         at = CMSG_NXTHDR(message, at)) {
        size_t bytes = at->cmsg_len - CMSG_LEN(0);

        if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < bytes / sizeof(int); i++) {
            int one;

            memcpy(&one, CMSG_DATA(at) + i * sizeof one, sizeof one);
            if (count++ == 0)
                *fd = one;
            else
                (void)close(one);
        }
    }
    return count;
}

int gg_bulk_receive(int socket, void *bytes, uint32_t size, int *fd)
{
    struct iovec part = {.iov_base = bytes,
                         .iov_len = size < INT_MAX ? size : INT_MAX};
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(MOST_DESCRIPTORS * sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof control.room};
    int taken = -1;
    int count;
    ssize_t got;

    do {
        got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (got == -1 && errno == EINTR);
    if (got == -1)
        return errno == EAGAIN || errno == EWOULDBLOCK ? GG_AGAIN : GG_ESYSTEM;
    count = take_descriptors(&message, &taken);
    if (count > 1 || (message.msg_flags & MSG_CTRUNC) != 0) {
        if (taken != -1)
            (void)close(taken);
        return GG_EBULK;
    }
    *fd = taken;
    return (int)got;
}
