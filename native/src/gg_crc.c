/* SPDX-License-Identifier: Apache-2.0 */
#include "gg/block.h"

#include <string.h>

/* The CRC-32 of zip and Ethernet, as zlib has it. Where the processor has no
 * instructions for it, zlib is faster than what is here, and Python asks it. */

#if defined(__x86_64__) && defined(__GNUC__)
#define FOLDS 1
#include <immintrin.h>
#elif defined(__aarch64__) && defined(__linux__) && defined(__GNUC__)
#define STEPS 1
#include <arm_acle.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

/* Half a byte at a time. */
static uint32_t by_table(uint32_t state, const uint8_t *data, size_t size)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };

    for (size_t i = 0; i < size; i++) {
        state ^= data[i];
        state = state >> 4 ^ table[state & 15];
        state = state >> 4 ^ table[state & 15];
    }
    return state;
}

#ifdef FOLDS

#define LEAST 64

/* Ref: V. Gopal et al., "Fast CRC Computation for Generic Polynomials Using
 * PCLMULQDQ Instruction" (Intel, 2009): the constants of the reflected
 * polynomial, and the steps. */
#define FOLDING __attribute__((target("pclmul,sse4.1")))

FOLDING static __m128i load(const uint8_t *data)
{
    return _mm_loadu_si128((const __m128i *)(const void *)data);
}

/* Move `value` on by the distance that `by` stands for, and add what is there. */
FOLDING static __m128i fold(__m128i value, __m128i by, __m128i there)
{
    __m128i low = _mm_clmulepi64_si128(value, by, 0x00);
    __m128i high = _mm_clmulepi64_si128(value, by, 0x11);

    return _mm_xor_si128(_mm_xor_si128(low, high), there);
}

FOLDING static uint32_t reduce(__m128i value)
{
    const __m128i low32 = _mm_setr_epi32(-1, 0, -1, 0);
    const __m128i by64 = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0);
    const __m128i by32 = _mm_set_epi64x(0, 0x0163cd6124);
    const __m128i barrett = _mm_set_epi64x(0x01f7011641, 0x01db710641);
    __m128i part = _mm_clmulepi64_si128(value, by64, 0x10);

    value = _mm_xor_si128(_mm_srli_si128(value, 8), part);
    part = _mm_srli_si128(value, 4);
    value = _mm_clmulepi64_si128(_mm_and_si128(value, low32), by32, 0x00);
    value = _mm_xor_si128(value, part);
    part = _mm_clmulepi64_si128(_mm_and_si128(value, low32), barrett, 0x10);
    part = _mm_clmulepi64_si128(_mm_and_si128(part, low32), barrett, 0x00);
    return (uint32_t)_mm_extract_epi32(_mm_xor_si128(value, part), 1);
}

/* Take what fills 16 bytes, at least 64. */
FOLDING static uint32_t quick(uint32_t state, const uint8_t *data, size_t size)
{
    const __m128i by512 = _mm_set_epi64x(0x01c6e41596, 0x0154442bd4);
    const __m128i by128 = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0);
    __m128i lanes[4];

    for (int i = 0; i < 4; i++)
        lanes[i] = load(data + 16 * i);
    lanes[0] = _mm_xor_si128(lanes[0], _mm_cvtsi32_si128((int)state));
    for (data += 64, size -= 64; size >= 64; data += 64, size -= 64)
        for (int i = 0; i < 4; i++)
            lanes[i] = fold(lanes[i], by512, load(data + 16 * i));
    for (int i = 1; i < 4; i++)
        lanes[0] = fold(lanes[0], by128, lanes[i]);
    for (; size >= 16; data += 16, size -= 16)
        lanes[0] = fold(lanes[0], by128, load(data));
    return reduce(lanes[0]);
}

int gg_crc32_is_fast(void)
{
    return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
}

#elif defined(STEPS)

#define LEAST 16

__attribute__((target("+crc"))) static uint32_t
quick(uint32_t state, const uint8_t *data, size_t size)
{
    for (; size >= 8; data += 8, size -= 8) {
        uint64_t word;

        memcpy(&word, data, 8);
        state = __crc32d(state, word);
    }
    return state;
}

int gg_crc32_is_fast(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
}

#else

#define LEAST SIZE_MAX

static uint32_t quick(uint32_t state, const uint8_t *data, size_t size)
{
    return by_table(state, data, size);
}

int gg_crc32_is_fast(void)
{
    return 0;
}

#endif

uint32_t gg_crc32(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *at = data;
    uint32_t state = ~crc;

    if (size >= LEAST && gg_crc32_is_fast()) {
        size_t whole = size & ~(size_t)15;

        state = quick(state, at, whole);
        at += whole;
        size -= whole;
    }
    return ~by_table(state, at, size);
}
