/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GG_STATUS_H
#define GG_STATUS_H

/* What a function of this library returns: GG_OK, a count, or one of these.
 * Results go to trailing out-pointers, which are written only on success.
 *
 * Two rules hold everywhere. The library never allocates, save the router by
 * its struct gg_memory: the caller supplies memory, and where it must outlive
 * the call the comment says until when. It has no state of its own: what two
 * threads do to different objects, or only read in the same one, needs no
 * lock. */

#if defined(__GNUC__)
#define GG_NODISCARD __attribute__((warn_unused_result))
#else
#define GG_NODISCARD
#endif

enum gg_status {
    GG_OK = 0,
    GG_EINVAL = -1,   /* an argument of the caller */
    GG_ENOSPC = -2,   /* the memory or array of the caller is too small */
    GG_ELENGTH = -3,  /* frame: below the header, or above the limit */
    GG_EKIND = -4,    /* frame: unknown kind */
    GG_EFLAGS = -5,   /* frame: reserved bits */
    GG_ETOPIC = -6,   /* frame or topic: longer than GG_MAX_TOPIC */
    GG_ECONTEXT = -7, /* frame: longer than GG_MAX_CONTEXT */
    GG_EFIELDS = -8,  /* frame: topic and context exceed its length */
    GG_EFILTER = -9,  /* topic filter: empty, too long, NUL, wildcard */
    GG_ENOMEM = -20,  /* router: no memory left */
    GG_ECORE = -21,   /* router: the core itself broke the contract */
    GG_EENDPOINT = -22, /* router: the endpoint is not defined */

    /* Channels. The caller may go on: try again, later or at once. */
    GG_AGAIN = -40,    /* would have to wait */
    GG_ETIMEOUT = -41, /* waited until the deadline */
    GG_EINTR = -42,    /* a signal, or somebody asked to look */
    /* It is over for this process. */
    GG_ECLOSED = -43, /* closed, perhaps by another thread */
    GG_EFORKED = -44, /* opened by the parent of this process */
    GG_ESYSTEM = -45, /* a system call failed; errno says why */
    /* The peer broke the contract. */
    GG_ERING = -46,    /* ring: index moved back, or beyond the capacity */
    GG_ETORN = -47,    /* ring: frame is not there as a whole */
    GG_ESEGMENT = -48, /* segment: seals, size or first line */
    GG_EBULK = -49     /* bulk message: seals, size, number or descriptor */
};

/* One sentence for a value of enum gg_status; never NULL. */
const char *gg_strerror(int status);

#endif
