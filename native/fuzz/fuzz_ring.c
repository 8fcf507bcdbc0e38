/* SPDX-License-Identifier: Apache-2.0 */
/* The core's end of a segment whose other end is the input: a script of writes
 * to anything that a worker can write, between calls. What comes out lies in
 * the ring and is what a header may say, or is a named error. The script:
 *
 *   0 word u32       store it          4 receive one
 *   1 word u16       add to it         5 size u16     send
 *   2 u16 n bytes    into the ring     6 park
 *   3 receive all                      7 size u8      what a worker would send
 *
 * With 128 added, it is received as a worker does, whom the core may lend bytes.
 */
#include "gg/port.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CAPACITY = 1 << 16, BATCH = 5, WORDS = 10 };

struct script {
    const uint8_t *at;
    size_t left;
};

static struct gg_port port;
static struct gg_port fresh;
static struct gg_control *control;
static uint8_t *up;

static void require(int condition)
{
    if (!condition)
        abort();
}

static uint32_t draw(struct script *script, unsigned bytes)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < bytes && script->left > 0; i++, script->left--)
        value |= (uint32_t)*script->at++ << 8 * i;
    return value;
}

static gg_atomic *word(uint32_t number)
{
    gg_atomic *words[WORDS] = {
        &control->up.tail,    &control->down.head,   &control->down.taken,
        &control->core.word,  &control->worker.word, &control->core.news,
        &control->up.cpu,     &control->up.head,     &control->down.tail,
        &control->worker.news};

    return words[number % WORDS];
}

/* One segment for all inputs, each of which finds it as new. */
static void begin(void)
{
    if (control == NULL) {
        struct gg_segment segment;
        int fd = -1;

        require(gg_segment_create(&segment, CAPACITY, CAPACITY, &fd) == GG_OK);
        control = segment.control;
        up = segment.up;
        require(gg_port_init(&port, &segment, GG_SIDE_CORE, -1, -1, 0) ==
                GG_OK);
        fresh = port;
    }
    port = fresh;
    memset(&control->up, 0, sizeof *control - offsetof(struct gg_control, up));
    memset(up, 0, CAPACITY);
}

static int is_fine(int status)
{
    return status >= 0 || status == GG_AGAIN || status == GG_ERING ||
           status == GG_ETORN || status == GG_EBULK ||
           (status <= GG_ELENGTH && status >= GG_EFIELDS);
}

/* Whether what is in the ring of a bulk message ends with its reference. */
static int has_reference(uint8_t kind, uint32_t size)
{
    return size == GG_REFERENCE_SIZE ||
           (size >= GG_LENT_SIZE && kind == GG_RESULT &&
            port.side == GG_SIDE_WORKER);
}

static void receive_all(void)
{
    struct gg_port_view views[BATCH];
    int count = gg_port_receive_batch(&port, views, BATCH, 60000, 0, 0);

    require(is_fine(count));
    for (int i = 0; i < count; i++) {
        const struct gg_port_view *view = &views[i];

        require(view->topic <= view->context);
        require(view->context <= view->payload && view->payload <= view->end);
        require(view->end <= 2 * CAPACITY);
        require(view->end - view->topic <= CAPACITY / 2 - GG_FRAME_HEADER);
        require(view->context - view->topic <= GG_MAX_TOPIC);
        require(view->kind >= GG_PUBLISH && view->kind <= GG_CONTROL);
        require(view->bulk_size <= GG_BULK_MOST);
        require(view->bulk_size == 0 ||
                has_reference(view->kind, view->end - view->payload));
    }
    gg_port_release(&port);
}

static void receive_one(void)
{
    struct gg_received received;
    int status = gg_port_receive(&port, &received);

    require(is_fine(status));
    if (status == GG_OK) {
        require(gg_header_check(&received.header, CAPACITY / 2) == GG_OK);
        require(received.payload >= up);
        require(received.payload + received.payload_size <= up + 2 * CAPACITY);
        require(received.bulk.size == 0 ||
                has_reference(received.header.kind, received.payload_size));
    }
    gg_port_release(&port);
}

static void send_one(uint32_t bytes)
{
    static const uint8_t zeros[UINT16_MAX];
    int status = gg_port_send(&port, GG_MESSAGE, 0, 0, 1, "a/b", 3, NULL, 0,
                              zeros, bytes, 0);

    require(is_fine(status));
}

/* A frame of a worker that keeps the rules, behind what the words say. */
static void put_frame(uint32_t bytes)
{
    const struct gg_header header = {.id = bytes,
                                     .length = GG_FRAME_HEADER + bytes,
                                     .topic_size = bytes % 8,
                                     .kind = GG_PUBLISH};
    uint32_t tail = gg_load_relaxed(&control->up.tail);

    if (header.topic_size <= bytes)
        gg_header_write(up + tail % CAPACITY, &header);
    gg_store_relaxed(&control->up.tail, tail + header.length);
}

static void step(struct script *script)
{
    gg_atomic *at;
    uint32_t operation;
    uint32_t offset;
    uint32_t length;

    operation = draw(script, 1);
    if (operation >= 128)
        port.side = GG_SIDE_WORKER;
    switch (operation % 8) {
    case 0:
        at = word(draw(script, 1));
        gg_store_relaxed(at, draw(script, 4));
        break;
    case 1:
        at = word(draw(script, 1));
        gg_store_relaxed(at, gg_load_relaxed(at) + draw(script, 2));
        break;
    case 2:
        offset = draw(script, 2);
        length = draw(script, 1);
        for (uint32_t i = 0; i < length; i++)
            up[offset + i] = (uint8_t)draw(script, 1);
        break;
    case 3:
        receive_all();
        break;
    case 4:
        receive_one();
        break;
    case 5:
        send_one(draw(script, 2));
        break;
    case 6:
        require(is_fine(gg_port_park(&port, GG_WANT_DATA | GG_WANT_ROOM, 99)));
        break;
    default:
        put_frame(draw(script, 1));
    }
    port.side = GG_SIDE_CORE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {data, size};

    begin();
    while (script.left > 0)
        step(&script);
    receive_all();
    send_one(10);
    return 0;
}
