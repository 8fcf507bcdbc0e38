/* SPDX-License-Identifier: Apache-2.0 */
#include "gg_fast.h"

#include "gg/port.h"

#include <time.h>

#define KEEP_GIL 16384 /* bytes; a copy of that takes less than 1 us */
#define BATCH 64
#define BATCH_BYTES 262144
#define HELD 16 /* answers in a row that need not wake the core */
#define PATIENCE_NS INT64_C(2000000) /* for room in the ring */

/* --- life --- */

struct lane {
    PyObject_HEAD
    struct gg_port *port; /* NULL when closed */
    __typeof__(gg_port_send) *send;
    __typeof__(gg_port_receive_inline) *receive;
    __typeof__(gg_port_release) *release;
    __typeof__(gg_port_data) *data;
    __typeof__(gg_port_wait) *wait; /* NULL: never */
    PyObject *owner;    /* keeps the port */
    PyObject *outgoing; /* frames that go first */
    PyObject *extend;   /* name of a method */
    struct gg_shape frame;
    unsigned held;  /* answers since the core was woken for one */
    unsigned users; /* threads in a call without the GIL */
};

static void lane_dealloc(PyObject *object)
{
    struct lane *self = (struct lane *)object;
    PyTypeObject *type = Py_TYPE(object);

    Py_CLEAR(self->owner);
    Py_CLEAR(self->outgoing);
    Py_CLEAR(self->extend);
    gg_shape_forget(&self->frame);
    PyObject_Free(object);
    Py_DECREF(type);
}

static PyObject *lane_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"port",  "calls",    "owner",
                                        "frame", "outgoing", NULL};
    unsigned long long port, send, receive, release, data, wait = 0;
    PyObject *calls, *owner, *outgoing, *frame;
    struct lane *self;

    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "KO!OOO:Lane", (char **)(uintptr_t)names, &port,
            &PyTuple_Type, &calls, &owner, &frame, &outgoing) ||
        !PyArg_ParseTuple(calls, "KKKK|K:Lane", &send, &receive, &release,
                          &data, &wait))
        return NULL;
    self = (struct lane *)PyType_GenericAlloc(type, 0);
    if (self == NULL)
        return NULL;
    self->port = (struct gg_port *)(uintptr_t)port;
    self->send = (__typeof__(self->send))(uintptr_t)send;
    self->receive = (__typeof__(self->receive))(uintptr_t)receive;
    self->release = (__typeof__(self->release))(uintptr_t)release;
    self->data = (__typeof__(self->data))(uintptr_t)data;
    self->wait = (__typeof__(self->wait))(uintptr_t)wait;
    self->owner = Py_NewRef(owner);
    self->outgoing = Py_NewRef(outgoing);
    self->extend = PyUnicode_InternFromString("extend");
    if (self->extend == NULL ||
        gg_shape_learn(&self->frame, frame, gg_frame_fields) != 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* Whether a frame may go at once. */
static int is_free(const struct lane *self)
{
    return self->port != NULL && PyObject_Size(self->outgoing) == 0;
}

/* --- sending --- */

struct part {
    const void *data;
    Py_ssize_t size;
    Py_buffer buffer; /* to be released if it has an `obj` */
};

/* Find the bytes of any buffer, or of text as UTF-8; 0 if there are none. */
static int find_bytes(struct part *part, PyObject *object, int text)
{
    part->buffer.obj = NULL;
    if (PyBytes_Check(object)) {
        part->data = PyBytes_AsString(object);
        part->size = PyBytes_Size(object);
        return 1;
    }
    if (PyUnicode_Check(object)) {
        part->data = text ? PyUnicode_AsUTF8AndSize(object, &part->size) : NULL;
        return part->data != NULL;
    }
    if (!PyObject_CheckBuffer(object) ||
        PyObject_GetBuffer(object, &part->buffer, PyBUF_SIMPLE) != 0)
        return 0;
    part->data = part->buffer.buf;
    part->size = part->buffer.len;
    return 1;
}

static void let_go(struct part *part)
{
    if (part->buffer.obj != NULL)
        PyBuffer_Release(&part->buffer);
}

/* Drop the GIL; the port's memory stays until `go_on` (see `idle`). */
static PyThreadState *let_others_run(struct lane *self)
{
    self->users++;
    return PyEval_SaveThread();
}

static void go_on(struct lane *self, PyThreadState *state)
{
    PyEval_RestoreThread(state);
    self->users--;
}

static int try_frame(struct lane *self, const struct gg_header *header,
                     const struct part *topic, const struct part *context,
                     const struct part *payload, int64_t deadline)
{
    struct gg_port *port = self->port; /* which may be closed meanwhile */
    PyThreadState *state = NULL;
    int status;

    if (payload->size > KEEP_GIL)
        state = let_others_run(self);
    status = self->send(port, header->kind, header->flags, header->endpoint,
                        header->id, topic->data, (uint16_t)topic->size,
                        context->data, (uint32_t)context->size, payload->data,
                        (uint32_t)payload->size, deadline);
    if (state != NULL)
        go_on(self, state);
    return status;
}

/* Wait until a frame of `need` bytes may have room, and return whether to try
 * again: not when it took too long, after a signal, or when others' frames go
 * first by now. */
static int await_room(struct lane *self, uint32_t need, uint32_t alarms,
                      int64_t until)
{
    struct gg_port *port = self->port;
    PyThreadState *state = let_others_run(self);
    int status = self->wait(port, GG_WANT_ROOM, need, alarms, until, 0);

    go_on(self, state);
    return status > 0 && is_free(self);
}

static int64_t clock_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Send. The core always reads, so a full ring soon has room; to sleep for it
 * here, where the caller may, is much shorter than the long way. */
static int send_frame(struct lane *self, const struct gg_header *header,
                      const struct part *topic, const struct part *context,
                      const struct part *payload, int64_t deadline,
                      int may_wait)
{
    int64_t until = 0;

    /* No frame is larger than 32 bits can tell. */
    if (topic->size > GG_MAX_TOPIC || context->size > GG_MAX_CONTEXT ||
        payload->size > GG_BULK_MOST)
        return GG_ELENGTH;
    for (;;) {
        uint32_t alarms = gg_load_seq(&self->port->alarms);
        int status = try_frame(self, header, topic, context, payload, deadline);
        Py_ssize_t need =
            GG_FRAME_HEADER + topic->size + context->size + payload->size;

        if (status != GG_AGAIN || !may_wait || self->wait == NULL ||
            !is_free(self))
            return status;
        if (until == 0)
            until = clock_ns() + PATIENCE_NS;
        if (!await_room(self, (uint32_t)need, alarms, until))
            return status;
    }
}

/* True if it was done. What went wrong is found out on the long way, save what
 * a signal handler raised. */
static PyObject *answer(int done)
{
    if (PyErr_Occurred() != NULL) {
        if (!PyErr_ExceptionMatches(PyExc_Exception))
            return NULL;
        PyErr_Clear();
    }
    return PyBool_FromLong(done);
}

/* Read an int of at most `most`; -1 for anything else. */
static int read_int(PyObject *object, unsigned long long most,
                    unsigned long long *value)
{
    if (!PyLong_Check(object))
        return -1;
    *value = PyLong_AsUnsignedLongLong(object);
    if (*value == (unsigned long long)-1 && PyErr_Occurred() != NULL)
        return -1;
    return *value > most ? -1 : 0;
}

PyDoc_STRVAR(send_doc,
"send(kind, flags, endpoint, id, topic, context, payload, wait=False)\n--\n\n"
"Send a frame if that can be done at once, or with `wait` in a moment, and\n"
"return whether it was.");

static PyObject *lane_send(PyObject *object, PyObject *const *args,
                           Py_ssize_t count)
{
    struct lane *self = (struct lane *)object;
    unsigned long long kind, flags, endpoint, id;
    struct part parts[3];
    int found = 0;
    int done = 0;
    int may_wait;

    if (count != GG_FIELDS && count != GG_FIELDS + 1) {
        PyErr_SetString(PyExc_TypeError, "send() takes the 7 fields");
        return NULL;
    }
    may_wait = count > GG_FIELDS ? PyObject_IsTrue(args[GG_FIELDS]) : 0;
    if (may_wait < 0 || !is_free(self) ||
        read_int(args[KIND], UINT8_MAX, &kind) != 0 ||
        read_int(args[FLAGS], UINT8_MAX, &flags) != 0 ||
        read_int(args[ENDPOINT], UINT32_MAX, &endpoint) != 0 ||
        read_int(args[ID], UINT64_MAX, &id) != 0)
        return answer(0);
    while (found < 3 && find_bytes(&parts[found], args[TOPIC + found], 0))
        found++;
    if (found == 3) {
        struct gg_header header = {.id = id,
                                   .endpoint = (uint32_t)endpoint,
                                   .kind = (uint8_t)kind,
                                   .flags = (uint8_t)flags};

        done = send_frame(self, &header, &parts[0], &parts[1], &parts[2], 0,
                          may_wait) == GG_OK;
    }
    while (found > 0)
        let_go(&parts[--found]);
    return answer(done);
}

/* What may be published to: model/topic.py has the rules and the words. */
static int is_topic(const struct part *topic, unsigned long long most)
{
    const char *text = topic->data;

    if (topic->size == 0 || (unsigned long long)topic->size > most)
        return 0;
    for (Py_ssize_t i = 0; i < topic->size; i++)
        if (text[i] == '+' || text[i] == '#' || text[i] == '\0')
            return 0;
    return 1;
}

PyDoc_STRVAR(publish_doc,
"publish(topic, payload, endpoint, topic_bytes, payload_bytes)\n--\n\n"
"Publish text or a buffer if that is allowed and can be done at once, and\n"
"return whether it was. The last two are the limits.");

static PyObject *lane_publish(PyObject *object, PyObject *const *args,
                              Py_ssize_t count)
{
    struct lane *self = (struct lane *)object;
    unsigned long long endpoint, topic_most, payload_most;
    struct part topic, payload;
    int done = 0;

    if (count != 5) {
        PyErr_SetString(PyExc_TypeError, "publish() takes 5 arguments");
        return NULL;
    }
    if (!is_free(self) || !PyUnicode_Check(args[0]) ||
        read_int(args[2], UINT32_MAX, &endpoint) != 0 ||
        read_int(args[3], UINT32_MAX, &topic_most) != 0 ||
        read_int(args[4], UINT32_MAX, &payload_most) != 0 ||
        !find_bytes(&topic, args[0], 1) || !is_topic(&topic, topic_most) ||
        !find_bytes(&payload, args[1], 1))
        return answer(0);
    if ((unsigned long long)payload.size <= payload_most) {
        struct gg_header header = {.endpoint = (uint32_t)endpoint,
                                   .kind = GG_PUBLISH};
        struct part none = {.data = NULL};

        done = send_frame(self, &header, &topic, &none, &payload, GG_SOON,
                          0) == GG_OK;
    }
    let_go(&payload);
    return answer(done);
}

PyDoc_STRVAR(answer_doc,
"answer(flags, endpoint, id, payload, more)\n--\n\n"
"Send a RESULT if that can be done in a moment, and return whether it was. With\n"
"`more` another one will follow soon, and the core need not be woken for each.");

static PyObject *lane_answer(PyObject *object, PyObject *const *args,
                             Py_ssize_t count)
{
    struct lane *self = (struct lane *)object;
    unsigned long long flags, endpoint, id;
    struct part none = {.data = NULL};
    struct part payload;
    int more, done;

    if (count != 5) {
        PyErr_SetString(PyExc_TypeError, "answer() takes 5 arguments");
        return NULL;
    }
    more = PyObject_IsTrue(args[4]);
    if (more < 0 || !is_free(self) ||
        read_int(args[0], UINT8_MAX, &flags) != 0 ||
        read_int(args[1], UINT32_MAX, &endpoint) != 0 ||
        read_int(args[2], UINT64_MAX, &id) != 0 ||
        !find_bytes(&payload, args[3], 0))
        return answer(0);
    self->held = more && self->held < HELD ? self->held + 1 : 0;
    {
        struct gg_header header = {.id = id,
                                   .endpoint = (uint32_t)endpoint,
                                   .kind = GG_RESULT,
                                   .flags = (uint8_t)flags};

        done = send_frame(self, &header, &none, &none, &payload,
                          self->held > 0 ? GG_SOON : 0, 1) == GG_OK;
    }
    let_go(&payload);
    return answer(done);
}

/* --- receiving --- */

/* Bytes from the ring. The peer may be changing them, so they are looked at
 * once: here. */
static PyObject *copy(const uint8_t *data, uint32_t from, uint32_t to)
{
    return PyBytes_FromStringAndSize((const char *)data + from,
                                     (Py_ssize_t)to - (Py_ssize_t)from);
}

/* The topic of a view: that of the frame before if it is the same. */
static PyObject *copy_topic(const uint8_t *data,
                            const struct gg_port_view *view, PyObject **last)
{
    uint32_t size = view->context - view->topic;

    if (*last == NULL || PyBytes_Size(*last) != (Py_ssize_t)size ||
        memcmp(PyBytes_AsString(*last), data + view->topic, size) != 0) {
        Py_XDECREF(*last);
        *last = copy(data, view->topic, view->context);
    }
    return Py_XNewRef(*last);
}

static PyObject *make_frames(struct lane *self,
                             const struct gg_port_view *views, int count)
{
    PyObject *frames = PyList_New(count);
    PyObject *topic = NULL;
    uint32_t size;
    const uint8_t *data = self->data(self->port, &size);

    for (int i = 0; i < count && frames != NULL; i++) {
        const struct gg_port_view *view = &views[i];
        PyObject *values[GG_FIELDS] = {
            PyLong_FromLong(view->kind),
            PyLong_FromLong(view->flags),
            PyLong_FromUnsignedLong(view->endpoint),
            PyLong_FromUnsignedLongLong(view->id),
            copy_topic(data, view, &topic),
            copy(data, view->context, view->payload),
            copy(data, view->payload, view->end),
        };
        PyObject *frame = gg_shape_make(&self->frame, values, GG_FIELDS);

        if (frame == NULL || PyList_SetItem(frames, i, frame) != 0)
            Py_CLEAR(frames);
    }
    Py_XDECREF(topic);
    return frames;
}

/* Whether all of them are work, and none an answer to somebody's call. */
static int is_work(const struct gg_port_view *views, int count)
{
    for (int i = 0; i < count; i++)
        if (views[i].kind != GG_MESSAGE && views[i].kind != GG_INVOKE)
            return 0;
    return 1;
}

PyDoc_STRVAR(take_doc,
"take(frames, work=None)\n--\n\n"
"Extend `frames` by those that lie in the ring, up to a large one, and return\n"
"whether there were any. Instead of `frames`, extend `work` if all of them are\n"
"work. When there is news on the socket there are none.");

static PyObject *lane_take(PyObject *object, PyObject *const *args,
                           Py_ssize_t arguments)
{
    struct lane *self = (struct lane *)object;
    struct gg_port_view views[BATCH];
    PyObject *frames, *made, *done = NULL;
    int count, collects;

    if (arguments < 1 || arguments > 2) {
        PyErr_SetString(PyExc_TypeError, "take() takes 1 or 2 arguments");
        return NULL;
    }
    if (self->port == NULL)
        return PyBool_FromLong(0);
    count = self->receive(self->port, views, BATCH, BATCH_BYTES);
    if (count <= 0)
        return PyBool_FromLong(0);
    frames = args[arguments > 1 && args[1] != Py_None && is_work(views, count)
                      ? 1
                      : 0];
    /* A collection could call a finalizer, and that receive. */
    collects = PyGC_Disable();
    made = make_frames(self, views, count);
    if (made != NULL)
        done = PyObject_CallMethodObjArgs(frames, self->extend, made, NULL);
    self->release(self->port);
    if (collects)
        (void)PyGC_Enable();
    Py_XDECREF(made);
    if (done == NULL)
        return NULL;
    Py_DECREF(done);
    return PyBool_FromLong(1);
}

PyDoc_STRVAR(close_doc,
"close()\n--\n\nDo nothing from now on.");

static PyObject *lane_close(PyObject *object, PyObject *nothing)
{
    (void)nothing;
    ((struct lane *)object)->port = NULL;
    return Py_NewRef(Py_None);
}

PyDoc_STRVAR(idle_doc,
"idle()\n--\n\nWhether no thread is in a call. Once closed, it stays so.");

static PyObject *lane_idle(PyObject *object, PyObject *nothing)
{
    (void)nothing;
    return PyBool_FromLong(((struct lane *)object)->users == 0);
}

static PyMethodDef lane_methods[] = {
    {"send", GG_FAST_CALL(lane_send), METH_FASTCALL, send_doc},
    {"publish", GG_FAST_CALL(lane_publish), METH_FASTCALL, publish_doc},
    {"answer", GG_FAST_CALL(lane_answer), METH_FASTCALL, answer_doc},
    {"take", GG_FAST_CALL(lane_take), METH_FASTCALL, take_doc},
    {"close", lane_close, METH_NOARGS, close_doc},
    {"idle", lane_idle, METH_NOARGS, idle_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot lane_slots[] = {
    {Py_tp_new, lane_new},
    {Py_tp_dealloc, lane_dealloc},
    {Py_tp_methods, lane_methods},
    {0, NULL},
};

PyType_Spec gg_lane_spec = {
    .name = "greengrass_sdk._native._fast.Lane",
    .basicsize = sizeof(struct lane),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = lane_slots,
};
