/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GG_ATOMIC_H
#define GG_ATOMIC_H

/* All atomics of the library, and the one argument why they suffice.
 *
 * Two ends share memory. Each shared word has one writer, except the park
 * words, which both ends change by read-modify-write only. All words have 32
 * bits, so that a load is one instruction also on 32-bit ARM.
 *
 * 1. Bytes travel by release and acquire. The producer fills bytes of the ring
 *    and then stores its index; the consumer loads the index and then reads the
 *    bytes. Space travels back the same way: the consumer has read the bytes
 *    before it stores its index, the producer loads that before it overwrites
 *    them.
 *      x86-64: stores are seen in program order, loads are done in program
 *        order, and no store passes an earlier load (TSO), so both are plain
 *        MOVs; the language's release and acquire only keep the compiler from
 *        moving the copy across.
 *      AArch64: nothing of that holds for plain accesses; STLR keeps earlier
 *        reads and writes before the store, LDAR later ones behind the load.
 *      ARMv7: the same by DMB ISH before the store and behind the load.
 *
 * 2. Sleep is Dekker's game, for which release and acquire are too weak:
 *
 *      sleeper:  park = 1;   look at index;   sleep if nothing is there
 *      waker:    index = n;  look at park;    wake if it is set
 *
 *    Each stores one word, then loads the other. If both loads could be done
 *    before both stores are seen, the sleeper would see no bytes, the waker no
 *    sleeper, and nobody would ever wake it. So all four are sequentially
 *    consistent: they have one total order, in which one of the two loads
 *    comes last and sees the other end's store.
 *      x86-64: the store buffer may delay a store past a later load, so the
 *        store is XCHG, which drains it (about 5 ns); the load is a MOV.
 *      AArch64: LDAR is not done before an earlier STLR of the same thread is
 *        seen (they are RCsc); LDAPR, which is not, must not be used here.
 *      ARMv7: DMB ISH between the two.
 *    The index is therefore stored by gg_store_seq(), which is also a release,
 *    and looked at by gg_load_seq() when parked, by gg_load_acquire() else.
 *    A park word is set by gg_or_seq(), because two threads of one end may
 *    sleep at once, and taken by gg_swap_seq(), so that one waker pays for the
 *    system call.
 *
 *    No fence is used: on AArch64 a DMB would cost more than STLR and LDAR, and
 *    ThreadSanitizer does not understand fences.
 *
 * 3. What needs no order (the processor a peer ran on) is relaxed: atomic only
 *    so that it is no data race.
 *
 * A hostile peer need not follow any of this. Nothing here trusts it to: the
 * checks of ring.h hold for every value of every word at any time. */

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef _Atomic uint32_t gg_atomic;

_Static_assert(sizeof(gg_atomic) == sizeof(uint32_t),
               "a shared word has the size of its value");

static inline uint32_t gg_load_relaxed(const gg_atomic *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static inline uint32_t gg_load_acquire(const gg_atomic *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

static inline uint32_t gg_load_seq(const gg_atomic *word)
{
    return atomic_load_explicit(word, memory_order_seq_cst);
}

static inline void gg_store_relaxed(gg_atomic *word, uint32_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

static inline void gg_store_release(gg_atomic *word, uint32_t value)
{
    atomic_store_explicit(word, value, memory_order_release);
}

static inline void gg_store_seq(gg_atomic *word, uint32_t value)
{
    atomic_store_explicit(word, value, memory_order_seq_cst);
}

/* Read-modify-write; each returns what was there before. */
static inline uint32_t gg_swap_seq(gg_atomic *word, uint32_t value)
{
    return atomic_exchange_explicit(word, value, memory_order_seq_cst);
}

static inline uint32_t gg_or_seq(gg_atomic *word, uint32_t bits)
{
    return atomic_fetch_or_explicit(word, bits, memory_order_seq_cst);
}

static inline uint32_t gg_add_seq(gg_atomic *word, uint32_t value)
{
    return atomic_fetch_add_explicit(word, value, memory_order_seq_cst);
}

/* Store `value` if `*expected` is there; else write what is into *expected. */
static inline int gg_cas_seq(gg_atomic *word, uint32_t *expected,
                             uint32_t value)
{
    return atomic_compare_exchange_strong_explicit(
        word, expected, value, memory_order_seq_cst, memory_order_seq_cst);
}

/* Copy what a peer may be changing, and be done with the original: no compiler
 * may read from there again what it finds in the copy. */
static inline void gg_copy_once(void *to, const void *from, size_t size)
{
    memcpy(to, from, size);
    __asm__ volatile("" : : "r"(to) : "memory");
}

/* Tell the processor that this is a spin loop. */
static inline void gg_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory"); /* YIELD does nothing on most */
#elif defined(__arm__)
    __asm__ volatile("yield" ::: "memory");
#endif
}

#endif
