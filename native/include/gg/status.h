/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GG_STATUS_H
#define GG_STATUS_H

/* What a function of this library returns: GG_OK, a count, or one of these.
 * Results go to trailing out-pointers, which are written only on success.
 *
 * Two rules hold everywhere. The library never allocates: the caller supplies
 * memory, and where it must outlive the call the comment says until when. It
 * has no state of its own: what two threads do to different objects, or only
 * read in the same one, needs no lock. */

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
    GG_EFILTER = -9   /* topic filter: empty, too long, NUL, wildcard */
};

/* One sentence for a value of enum gg_status; never NULL. */
const char *gg_strerror(int status);

#endif
