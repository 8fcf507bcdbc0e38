/* SPDX-License-Identifier: Apache-2.0 */
/* Texts and error documents that the router itself writes. They equal those of
 * Python byte by byte: repr(), str(UnicodeDecodeError), json.dumps(). */
#include "gg/router_parts.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum {
    TOPIC_BYTES = 256, /* model/limits.py */
    SHOWN_CHARS = 80,  /* of a topic that is refused */
    REPLACEMENT = 0xFFFD
};

/* Building. */

struct gg_text gg_text_new(const struct gg_memory *memory)
{
    struct gg_text text = {memory, NULL, 0, 0, 0};

    return text;
}

void gg_text_put(struct gg_text *text, const void *bytes, size_t size)
{
    if (text->failed || size == 0)
        return;
    if (size > text->room - text->size) {
        size_t room = 2 * text->room + size + 128;
        struct gg_blob *blob;

        if (size > SIZE_MAX / 4 - text->room) {
            text->failed = 1;
            return;
        }
        blob = gg_memory_move(text->memory, text->blob, sizeof *blob + room);
        if (blob == NULL) {
            text->failed = 1;
            return;
        }
        text->blob = blob;
        text->room = room;
    }
    memcpy(text->blob->bytes + text->size, bytes, size);
    text->size += size;
}

void gg_text_word(struct gg_text *text, const char *word)
{
    gg_text_put(text, word, strlen(word));
}

void gg_text_number(struct gg_text *text, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    gg_text_put(text, digits + at, sizeof digits - at);
}

void gg_text_drop(struct gg_text *text)
{
    gg_memory_free(text->memory, text->blob);
    *text = gg_text_new(text->memory);
}

struct gg_blob *gg_text_done(struct gg_text *text)
{
    struct gg_blob *blob = text->blob;

    if (text->failed) {
        gg_text_drop(text);
        return NULL;
    }
    if (blob == NULL)
        return gg_blob_new(text->memory, NULL, 0);
    gg_blob_init(blob, text->size);
    *text = gg_text_new(text->memory);
    return blob;
}

static void put_hex(struct gg_text *text, uint32_t value, unsigned digits)
{
    while (digits-- > 0)
        gg_text_put(text, &"0123456789abcdef"[value >> 4 * digits & 15], 1);
}

/* Numbers as Python writes them, whatever the locale has for a point. */
static void put_double(struct gg_text *text, const char *format, double value)
{
    char raw[400];
    int size = snprintf(raw, sizeof raw, format, value);
    int in_point = 0;

    for (int i = 0; i < size && i < (int)sizeof raw; i++) {
        char c = raw[i];
        int plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                    c == '+' || c == '-';

        if (plain)
            gg_text_put(text, &c, 1);
        else if (!in_point)
            gg_text_put(text, ".", 1);
        in_point = !plain;
    }
}

void gg_text_seconds(struct gg_text *text, double seconds)
{
    put_double(text, "%g", seconds);
}

/* UTF-8, read as Python's decoder does. */

static int follows(struct gg_bytes text, size_t at)
{
    return at < text.size && (text.at[at] & 0xC0) == 0x80;
}

static struct gg_scan broken(const char *error, size_t size)
{
    struct gg_scan scan = {REPLACEMENT, size, error};

    return scan;
}

static const char BAD_NEXT[] = "invalid continuation byte";
static const char CUT_SHORT[] = "unexpected end of data";

/* What `size` bytes mean that begin with `first`; the second byte must lie in
 * low..high, which keeps out overlong forms, surrogates and beyond 10FFFF. */
static struct gg_scan scan_long(struct gg_bytes text, size_t size, uint8_t low,
                                uint8_t high)
{
    struct gg_scan scan = {text.at[0] & (0x7Fu >> size), size, NULL};

    for (size_t at = 1; at < size; at++) {
        if (at >= text.size)
            return broken(CUT_SHORT, at);
        if (!follows(text, at) ||
            (at == 1 && (text.at[1] < low || text.at[1] > high)))
            return broken(BAD_NEXT, at);
        scan.point = scan.point << 6 | (text.at[at] & 0x3Fu);
    }
    return scan;
}

struct gg_scan gg_scan_point(struct gg_bytes text)
{
    uint8_t first = text.at[0];
    struct gg_scan plain = {first, 1, NULL};

    if (first < 0x80)
        return plain;
    if (first < 0xC2 || first > 0xF4)
        return broken("invalid start byte", 1);
    if (first < 0xE0)
        return scan_long(text, 2, 0x80, 0xBF);
    if (first < 0xF0)
        return scan_long(text, 3, first == 0xE0 ? 0xA0 : 0x80,
                         first == 0xED ? 0x9F : 0xBF);
    return scan_long(text, 4, first == 0xF0 ? 0x90 : 0x80,
                     first == 0xF4 ? 0x8F : 0xBF);
}

static struct gg_bytes skip(struct gg_bytes text, size_t size)
{
    text.at += size;
    text.size -= size;
    return text;
}

void gg_text_point(struct gg_text *text, uint32_t point)
{
    uint8_t bytes[4];
    size_t size = 0;

    if (point < 0x80) {
        bytes[size++] = (uint8_t)point;
    } else if (point < 0x800) {
        bytes[size++] = (uint8_t)(0xC0 | point >> 6);
    } else if (point < 0x10000) {
        bytes[size++] = (uint8_t)(0xE0 | point >> 12);
        bytes[size++] = (uint8_t)(0x80 | (point >> 6 & 0x3F));
    } else {
        bytes[size++] = (uint8_t)(0xF0 | point >> 18);
        bytes[size++] = (uint8_t)(0x80 | (point >> 12 & 0x3F));
        bytes[size++] = (uint8_t)(0x80 | (point >> 6 & 0x3F));
    }
    if (point >= 0x80)
        bytes[size++] = (uint8_t)(0x80 | (point & 0x3F));
    gg_text_put(text, bytes, size);
}

/* Characters that repr() escapes: controls, formats, separators, surrogates
 * and private ones, as of Unicode 14. Code points that are not assigned are
 * left as they are: which ones those are differs among Pythons. */
static int is_printable(uint32_t point)
{
    static const uint32_t ranges[][2] = {
        {0x7F, 0xA0},        {0xAD, 0xAD},       {0x600, 0x605},
        {0x61C, 0x61C},      {0x6DD, 0x6DD},     {0x70F, 0x70F},
        {0x890, 0x891},      {0x8E2, 0x8E2},     {0x1680, 0x1680},
        {0x180E, 0x180E},    {0x2000, 0x200F},   {0x2028, 0x202F},
        {0x205F, 0x206F},    {0x3000, 0x3000},   {0xD800, 0xF8FF},
        {0xFEFF, 0xFEFF},    {0xFFF9, 0xFFFB},   {0x110BD, 0x110BD},
        {0x110CD, 0x110CD},  {0x13430, 0x13438}, {0x1BCA0, 0x1BCA3},
        {0x1D173, 0x1D17A},  {0xE0001, 0xE0001}, {0xE0020, 0xE007F},
        {0xF0000, 0x10FFFF},
    };

    if (point < 0x20)
        return 0;
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (point >= ranges[i][0] && point <= ranges[i][1])
            return 0;
    return 1;
}

static void put_quoted_point(struct gg_text *text, uint32_t point, char quote)
{
    if (point == (uint32_t)quote || point == '\\') {
        gg_text_word(text, "\\");
        gg_text_point(text, point);
    } else if (point == '\t' || point == '\n' || point == '\r') {
        gg_text_word(text, point == '\t'   ? "\\t"
                           : point == '\n' ? "\\n"
                                           : "\\r");
    } else if (is_printable(point)) {
        gg_text_point(text, point);
    } else {
        unsigned digits = point <= 0xFF ? 2 : point <= 0xFFFF ? 4 : 8;

        gg_text_word(text, digits == 2 ? "\\x" : digits == 4 ? "\\u" : "\\U");
        put_hex(text, point, digits);
    }
}

void gg_text_quoted(struct gg_text *text, struct gg_bytes topic, size_t chars)
{
    struct gg_bytes rest = topic;
    struct gg_bytes end;
    int single = 0;
    int twice = 0;
    size_t count = 0;
    char quote;

    for (; rest.size > 0 && count < chars; count++) {
        struct gg_scan scan = gg_scan_point(rest);

        single = single || scan.point == '\'';
        twice = twice || scan.point == '"';
        rest = skip(rest, scan.size);
    }
    quote = single && !twice ? '"' : '\'';
    end = rest;
    gg_text_put(text, &quote, 1);
    for (rest = topic; rest.size > end.size;) {
        struct gg_scan scan = gg_scan_point(rest);

        put_quoted_point(text, scan.point, quote);
        rest = skip(rest, scan.size);
    }
    if (end.size > 0)
        gg_text_word(text, "\xE2\x80\xA6"); /* an ellipsis */
    gg_text_put(text, &quote, 1);
}

static void put_decode_error(struct gg_text *text, uint8_t byte, size_t at,
                             const struct gg_scan *scan)
{
    gg_text_word(text, "'utf-8' codec can't decode byte");
    if (scan->size == 1) {
        gg_text_word(text, " 0x");
        put_hex(text, byte, 2);
        gg_text_word(text, " in position ");
    } else {
        gg_text_word(text, "s in position ");
    }
    gg_text_number(text, at);
    if (scan->size > 1) {
        gg_text_word(text, "-");
        gg_text_number(text, at + scan->size - 1);
    }
    gg_text_word(text, ": ");
    gg_text_word(text, scan->error);
}

/* Whether all of it is ASCII that needs no second look: nearly every topic. */
static int is_plain(struct gg_bytes topic)
{
    unsigned odd = 0;

    for (size_t i = 0; i < topic.size; i++) {
        uint8_t c = topic.at[i];

        odd |= (unsigned)(c >= 0x80) | (c == 0) | (c == '+') | (c == '#');
    }
    return !odd && topic.size > 0 && topic.size <= TOPIC_BYTES;
}

int gg_text_bad_topic(struct gg_text *text, struct gg_bytes topic)
{
    int nul = 0;
    int plus = 0;
    int hash = 0;

    if (is_plain(topic))
        return 0;
    for (struct gg_bytes rest = topic; rest.size > 0;) {
        struct gg_scan scan = gg_scan_point(rest);

        if (scan.error != NULL) {
            put_decode_error(text, rest.at[0], topic.size - rest.size, &scan);
            return 1;
        }
        nul = nul || scan.point == 0;
        plus = plus || scan.point == '+';
        hash = hash || scan.point == '#';
        rest = skip(rest, scan.size);
    }
    if (topic.size == 0) {
        gg_text_word(text, "topic is empty; it needs at least one character");
        return 1;
    }
    if (topic.size <= TOPIC_BYTES && !nul && !plus && !hash)
        return 0;
    gg_text_word(text, "topic ");
    gg_text_quoted(text, topic, SHOWN_CHARS);
    if (topic.size > TOPIC_BYTES) {
        gg_text_word(text, " has ");
        gg_text_number(text, topic.size);
        gg_text_word(text, " bytes of UTF-8; the limit is ");
        gg_text_number(text, TOPIC_BYTES);
    } else if (nul) {
        gg_text_word(text, " contains NUL (U+0000), which no topic may");
    } else {
        gg_text_word(text, " contains the wildcard '");
        gg_text_word(text, plus ? "+" : "#");
        gg_text_word(text, "'; publish to one topic, wildcards belong in "
                           "subscriptions");
    }
    return 1;
}

void gg_text_too_large(struct gg_text *text, const char *what, size_t size,
                       uint64_t limit)
{
    gg_text_word(text, what);
    gg_text_word(text, " of ");
    gg_text_number(text, size);
    gg_text_word(text, " bytes is larger than the limit of ");
    gg_text_number(text, limit);
    gg_text_word(text, " bytes");
}

/* The timeout, in Lambda's words. */

static void put_padded(struct gg_text *text, uint64_t number, unsigned digits)
{
    uint64_t bound = 1;

    for (unsigned i = 1; i < digits; i++) {
        bound *= 10;
    }
    for (; bound > 1 && number < bound; bound /= 10)
        gg_text_word(text, "0");
    gg_text_number(text, number);
}

/* Days since 1970 to a date, by eras of 400 years that begin in March. */
static void put_date(struct gg_text *text, int64_t days)
{
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t day = shifted - era * 146097;
    int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    int64_t of_year = day - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;

    day = of_year - (153 * month + 2) / 5 + 1;
    year += era * 400 + (month >= 10 ? 1 : 0);
    month += month < 10 ? 3 : -9;
    put_padded(text, year < 0 ? 0 : (uint64_t)year, 4);
    gg_text_word(text, "-");
    put_padded(text, (uint64_t)month, 2);
    gg_text_word(text, "-");
    put_padded(text, (uint64_t)day, 2);
}

static void put_stamp(struct gg_text *text, double wall_clock_s)
{
    static const double LIMIT = 9.0e15; /* of milliseconds, for the cast */
    double scaled = wall_clock_s * 1000;
    int64_t millis;
    int64_t days;
    uint64_t left;

    if (!(scaled > -LIMIT && scaled < LIMIT))
        scaled = 0;
    millis = (int64_t)scaled;
    days = (millis >= 0 ? millis : millis - 86399999) / 86400000;
    left = (uint64_t)(millis - days * 86400000);
    put_date(text, days);
    gg_text_word(text, "T");
    put_padded(text, left / 3600000, 2);
    gg_text_word(text, ":");
    put_padded(text, left / 60000 % 60, 2);
    gg_text_word(text, ":");
    put_padded(text, left / 1000 % 60, 2);
    gg_text_word(text, ".");
    put_padded(text, left % 1000, 3);
    gg_text_word(text, "Z");
}

/* request_id() of frames.py. */
static void put_request_id(struct gg_text *text, const uint8_t boot[8],
                           uint64_t id)
{
    uint8_t raw[16];

    memcpy(raw, boot, 8);
    for (unsigned i = 0; i < 8; i++)
        raw[8 + i] = (uint8_t)(id >> 8 * (7 - i));
    raw[6] = (uint8_t)(0x80 | (raw[6] & 0x0F));
    raw[8] = (uint8_t)(0x80 | (raw[8] & 0x3F));
    for (unsigned i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            gg_text_word(text, "-");
        put_hex(text, raw[i], 2);
    }
}

void gg_text_timeout(struct gg_text *text, double wall_clock_s,
                     const uint8_t boot[8], uint64_t id, double timeout_s)
{
    put_stamp(text, wall_clock_s);
    gg_text_word(text, " ");
    put_request_id(text, boot, id);
    gg_text_word(text, " Task timed out after ");
    put_double(text, "%.2f", timeout_s);
    gg_text_word(text, " seconds");
}

/* Error documents. */

static void put_json_unit(struct gg_text *text, uint32_t unit)
{
    gg_text_word(text, "\\u");
    put_hex(text, unit, 4);
}

static void put_json_point(struct gg_text *text, uint32_t point)
{
    static const char escaped[] = "\"\\\n\r\t\f\b";
    static const char letters[] = "\"\\nrtfb";
    const char *found =
        point > 0 && point < 0x80 ? strchr(escaped, (int)point) : NULL;

    if (found != NULL) {
        gg_text_word(text, "\\");
        gg_text_put(text, &letters[found - escaped], 1);
    } else if (point >= 0x20 && point < 0x7F) {
        gg_text_point(text, point);
    } else if (point < 0x10000) {
        put_json_unit(text, point);
    } else {
        put_json_unit(text, 0xD800 + ((point - 0x10000) >> 10));
        put_json_unit(text, 0xDC00 + ((point - 0x10000) & 0x3FF));
    }
}

struct gg_blob *gg_text_document(struct gg_text *text, const char *error_type)
{
    struct gg_text document = gg_text_new(text->memory);
    struct gg_bytes rest = {NULL, text->size};

    if (text->size > 0)
        rest.at = text->blob->bytes;
    document.failed = text->failed;
    gg_text_word(&document, "{\"errorMessage\": \"");
    while (rest.size > 0 && !document.failed) {
        struct gg_scan scan = gg_scan_point(rest);

        put_json_point(&document, scan.point);
        rest = skip(rest, scan.size);
    }
    gg_text_word(&document, "\", \"errorType\": \"");
    gg_text_word(&document, error_type);
    gg_text_word(&document, "\"}");
    gg_text_drop(text);
    return gg_text_done(&document);
}
