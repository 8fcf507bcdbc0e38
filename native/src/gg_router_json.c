/* SPDX-License-Identifier: Apache-2.0 */
/* Read the message out of an error document that a function wrote. Whatever it
 * wrote is read without recursion, and shown in at most SHOWN_CHARS. */
#include "gg/router_parts.h"

#include <string.h>

enum {
    SHOWN_CHARS = 4096,
    MAX_DEPTH = 960,   /* Python gives up at about this depth, too */
    MAX_DIGITS = 4300, /* of an integer */
    SURROGATE = 0xD800,
    LOW_SURROGATE = 0xDC00,
    AFTER_SURROGATES = 0xE000
};

/* What is left to read. */
struct reader {
    const uint8_t *at, *end;
};

/* Python decodes JSON with lone surrogates passed through. */
static struct gg_scan scan_passing(const struct reader *reader)
{
    struct gg_bytes rest = {reader->at, (size_t)(reader->end - reader->at)};
    struct gg_scan scan = gg_scan_point(rest);

    if (scan.error != NULL && rest.size >= 3 && rest.at[0] == 0xED &&
        rest.at[1] >= 0xA0 && rest.at[1] <= 0xBF &&
        (rest.at[2] & 0xC0) == 0x80) {
        scan.point = 0xD000u | (rest.at[1] & 0x3Fu) << 6 | (rest.at[2] & 0x3Fu);
        scan.size = 3;
        scan.error = NULL;
    }
    return scan;
}

static int is_text(struct reader reader)
{
    while (reader.at < reader.end) {
        struct gg_scan scan = scan_passing(&reader);

        if (scan.error != NULL)
            return 0;
        reader.at += scan.size;
    }
    return 1;
}

static void skip_space(struct reader *reader)
{
    while (reader->at < reader->end &&
           (*reader->at == ' ' || *reader->at == '\t' || *reader->at == '\n' ||
            *reader->at == '\r'))
        reader->at++;
}

static int take(struct reader *reader, char wanted)
{
    if (reader->at == reader->end || *reader->at != (uint8_t)wanted)
        return 0;
    reader->at++;
    return 1;
}

static int take_word(struct reader *reader, const char *word)
{
    size_t size = strlen(word);

    if ((size_t)(reader->end - reader->at) < size ||
        memcmp(reader->at, word, size) != 0)
        return 0;
    reader->at += size;
    return 1;
}

static size_t take_digits(struct reader *reader)
{
    const uint8_t *start = reader->at;

    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9')
        reader->at++;
    return (size_t)(reader->at - start);
}

static int take_number(struct reader *reader)
{
    size_t digits;
    int whole = 1;

    (void)take(reader, '-');
    if (take(reader, '0'))
        digits = 1;
    else
        digits = take_digits(reader);
    if (digits == 0)
        return 0;
    if (take(reader, '.')) {
        whole = 0;
        if (take_digits(reader) == 0)
            return 0;
    }
    if (take(reader, 'e') || take(reader, 'E')) {
        whole = 0;
        if (!take(reader, '+'))
            (void)take(reader, '-');
        if (take_digits(reader) == 0)
            return 0;
    }
    return !whole || digits <= MAX_DIGITS;
}

/* Four hexadecimal digits, or -1. */
static int32_t take_unit(struct reader *reader)
{
    int32_t unit = 0;

    if (reader->end - reader->at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        uint8_t c = *reader->at++;

        if (c >= '0' && c <= '9')
            unit = unit * 16 + (c - '0');
        else if (c >= 'a' && c <= 'f')
            unit = unit * 16 + (c - 'a' + 10);
        else if (c >= 'A' && c <= 'F')
            unit = unit * 16 + (c - 'A' + 10);
        else
            return -1;
    }
    return unit;
}

/* A string whose opening quote was taken. */
static int take_string(struct reader *reader)
{
    while (reader->at < reader->end) {
        uint8_t c = *reader->at++;

        if (c == '"')
            return 1;
        if (c < 0x20)
            return 0;
        if (c != '\\')
            continue;
        if (reader->at == reader->end)
            return 0;
        c = *reader->at++;
        if (c == 'u') {
            if (take_unit(reader) < 0)
                return 0;
        } else if (c == 0 || strchr("\"\\/bfnrt", c) == NULL) {
            return 0;
        }
    }
    return 0;
}

/* The next character of a string that take_string() accepted. */
static uint32_t string_point(struct reader *reader)
{
    static const char letters[] = "bfnrt";
    static const char meant[] = "\b\f\n\r\t";
    struct reader next;
    uint32_t unit;
    const char *found;

    if (*reader->at != '\\') {
        struct gg_scan scan = scan_passing(reader);

        reader->at += scan.size;
        return scan.point;
    }
    reader->at++;
    if (*reader->at != 'u') {
        found = strchr(letters, *reader->at);
        unit = found != NULL ? (uint8_t)meant[found - letters] : *reader->at;
        reader->at++;
        return unit;
    }
    reader->at++;
    unit = (uint32_t)take_unit(reader);
    if (unit < SURROGATE || unit >= LOW_SURROGATE)
        return unit;
    next = *reader;
    if (take_word(&next, "\\u")) {
        uint32_t low = (uint32_t)take_unit(&next);

        if (low >= LOW_SURROGATE && low < AFTER_SURROGATES) {
            *reader = next;
            return 0x10000 + ((unit - SURROGATE) << 10) + (low - LOW_SURROGATE);
        }
    }
    return unit;
}

static int string_is(struct reader string, const char *wanted)
{
    for (; string.at < string.end; wanted++)
        if (*wanted == 0 || string_point(&string) != (uint8_t)*wanted)
            return 0;
    return *wanted == 0;
}

/* Where a document is being read: in which containers, and what was found. */
struct walk {
    struct reader reader;
    struct reader message; /* the value of "errorMessage", quotes included */
    const uint8_t *value;  /* where the value of that key began, or NULL */
    unsigned depth;
    uint8_t is_object[MAX_DEPTH];
};

static int take_key(struct walk *walk)
{
    struct reader key;

    skip_space(&walk->reader);
    if (!take(&walk->reader, '"'))
        return 0;
    key = walk->reader;
    if (!take_string(&walk->reader))
        return 0;
    key.end = walk->reader.at - 1;
    skip_space(&walk->reader);
    if (!take(&walk->reader, ':'))
        return 0;
    skip_space(&walk->reader);
    if (walk->depth == 1)
        walk->value = string_is(key, "errorMessage") ? walk->reader.at : NULL;
    return 1;
}

static int take_scalar(struct reader *reader)
{
    if (take(reader, '"'))
        return take_string(reader);
    return take_word(reader, "null") || take_word(reader, "true") ||
           take_word(reader, "false") || take_word(reader, "NaN") ||
           take_word(reader, "Infinity") || take_word(reader, "-Infinity") ||
           take_number(reader);
}

enum next { BROKEN, VALUE, AFTER };

/* Begin a value: a scalar whole, of a container what precedes the first one. */
static enum next begin_value(struct walk *walk)
{
    struct reader *reader = &walk->reader;
    int is_object;

    skip_space(reader);
    is_object = reader->at < reader->end && *reader->at == '{';
    if (!is_object && (reader->at == reader->end || *reader->at != '['))
        return take_scalar(reader) ? AFTER : BROKEN;
    if (walk->depth == MAX_DEPTH)
        return BROKEN;
    reader->at++;
    walk->is_object[walk->depth++] = (uint8_t)is_object;
    skip_space(reader);
    if (take(reader, is_object ? '}' : ']')) {
        walk->depth--;
        return AFTER;
    }
    return !is_object || take_key(walk) ? VALUE : BROKEN;
}

/* Go on behind a value: the next one of its container, or the end of that. */
static enum next after_value(struct walk *walk)
{
    struct reader *reader = &walk->reader;
    int is_object = walk->is_object[walk->depth - 1];

    if (walk->depth == 1 && walk->value != NULL) {
        walk->message.at = walk->value;
        walk->message.end = reader->at;
        walk->value = NULL;
    }
    skip_space(reader);
    if (take(reader, ','))
        return !is_object || take_key(walk) ? VALUE : BROKEN;
    if (!take(reader, is_object ? '}' : ']'))
        return BROKEN;
    walk->depth--;
    return AFTER;
}

/* Find the message of a document; whether it is one and has one. */
static int find_message(struct walk *walk)
{
    enum next next = VALUE;

    if (!is_text(walk->reader))
        return 0;
    (void)take_word(&walk->reader, "\xEF\xBB\xBF");
    skip_space(&walk->reader);
    if (walk->reader.at == walk->reader.end || *walk->reader.at != '{')
        return 0;
    while (next != BROKEN && !(next == AFTER && walk->depth == 0))
        next = next == VALUE ? begin_value(walk) : after_value(walk);
    skip_space(&walk->reader);
    return next == AFTER && walk->reader.at == walk->reader.end &&
           walk->message.at != NULL;
}

/* Write a character, a lone surrogate as a question mark; whether there was
 * still room for it. */
static int show(struct gg_text *text, uint32_t point, size_t *shown)
{
    if (*shown == SHOWN_CHARS) {
        gg_text_word(text, "...");
        return 0;
    }
    ++*shown;
    if (point >= SURROGATE && point < AFTER_SURROGATES)
        point = '?';
    gg_text_point(text, point);
    return 1;
}

/* What Python's str() says of a value. For floating-point numbers, lists and
 * objects, the JSON as it was written. */
static void show_value(struct gg_text *text, struct reader value)
{
    static const char words[][2][12] = {
        {"null", "None"}, {"true", "True"},    {"false", "False"},
        {"NaN", "nan"},   {"Infinity", "inf"}, {"-Infinity", "-inf"},
        {"-0", "0"},
    };
    int is_string = *value.at == '"';
    size_t shown = 0;

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct reader word = value;

        if (take_word(&word, words[i][0]) && word.at == word.end) {
            gg_text_word(text, words[i][1]);
            return;
        }
    }
    if (is_string) {
        value.at++;
        value.end--;
    }
    while (value.at < value.end) {
        uint32_t point;

        if (is_string) {
            point = string_point(&value);
        } else {
            struct gg_scan scan = scan_passing(&value);

            point = scan.point;
            value.at += scan.size;
        }
        if (!show(text, point, &shown))
            return;
    }
}

void gg_text_message_of(struct gg_text *text, struct gg_bytes document)
{
    struct walk walk;
    size_t shown = 0;

    memset(&walk, 0, sizeof walk);
    walk.reader.at = document.at;
    walk.reader.end = document.at + document.size;
    if (find_message(&walk)) {
        show_value(text, walk.message);
        return;
    }
    while (document.size > 0) {
        struct gg_scan scan = gg_scan_point(document);

        document.at += scan.size;
        document.size -= scan.size;
        if (!show(text, scan.point, &shown))
            return;
    }
}
