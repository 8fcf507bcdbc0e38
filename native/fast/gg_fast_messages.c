/* SPDX-License-Identifier: Apache-2.0 */
#include "gg_fast.h"

static const char *const message_fields[] = {"topic", "payload", NULL};

struct messages {
    PyObject_HEAD
    struct gg_shape frame;
    struct gg_shape message;
    long kind;
};

static void messages_dealloc(PyObject *object)
{
    struct messages *self = (struct messages *)object;
    PyTypeObject *type = Py_TYPE(object);

    gg_shape_forget(&self->frame);
    gg_shape_forget(&self->message);
    PyObject_Free(object);
    Py_DECREF(type);
}

static PyObject *messages_new(PyTypeObject *type, PyObject *args,
                              PyObject *kwargs)
{
    static const char *const names[] = {"frame", "kind", "message", NULL};
    PyObject *frame, *message;
    struct messages *self;
    long kind;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OlO:Messages",
                                     (char **)(uintptr_t)names, &frame, &kind,
                                     &message))
        return NULL;
    self = (struct messages *)PyType_GenericAlloc(type, 0);
    if (self == NULL)
        return NULL;
    self->kind = kind;
    if (gg_shape_learn(&self->frame, frame, gg_frame_fields) != 0 ||
        gg_shape_learn(&self->message, message, message_fields) != 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* A topic as text, kept for the next message of the same one. */
struct reading {
    PyObject *topic;
    PyObject *text;
};

static PyObject *read_topic(struct reading *reading, PyObject *topic)
{
    char *bytes = NULL;
    Py_ssize_t size = 0;

    if (topic != reading->topic) {
        Py_CLEAR(reading->text);
        Py_CLEAR(reading->topic);
        reading->topic = Py_NewRef(topic);
        if (PyBytes_AsStringAndSize(topic, &bytes, &size) == 0)
            reading->text = PyUnicode_DecodeUTF8(bytes, size, "replace");
    }
    return Py_XNewRef(reading->text);
}

/* Return the message in a frame; NULL without an exception if it has none. */
static PyObject *read_message(struct messages *self, struct reading *reading,
                              PyObject *frame)
{
    PyObject *kind = gg_shape_get(&self->frame, KIND, frame);
    PyObject *values[2];
    PyObject *topic;
    long number;

    if (kind == NULL)
        return NULL;
    number = PyLong_AsLong(kind);
    Py_DECREF(kind);
    if (number != self->kind)
        return NULL;
    topic = gg_shape_get(&self->frame, TOPIC, frame);
    if (topic == NULL)
        return NULL;
    values[0] = read_topic(reading, topic);
    values[1] = gg_shape_get(&self->frame, PAYLOAD, frame);
    Py_DECREF(topic);
    return gg_shape_make(&self->message, values, 2);
}

PyDoc_STRVAR(of_doc,
"of(frames)\n--\n\nReturn the messages in a list of frames.");

static PyObject *messages_of(PyObject *object, PyObject *frames)
{
    struct messages *self = (struct messages *)object;
    struct reading reading = {NULL, NULL};
    PyObject *found = PyList_New(0);

    /* PyList_Size() raises for what is no list. */
    for (Py_ssize_t i = 0; found != NULL && i < PyList_Size(frames); i++) {
        PyObject *frame = Py_NewRef(PyList_GetItem(frames, i));
        PyObject *message = read_message(self, &reading, frame);

        Py_DECREF(frame);
        if (message == NULL ? PyErr_Occurred() != NULL
                            : PyList_Append(found, message) != 0)
            Py_CLEAR(found);
        Py_XDECREF(message);
    }
    Py_XDECREF(reading.topic);
    Py_XDECREF(reading.text);
    if (PyErr_Occurred() != NULL)
        Py_CLEAR(found);
    return found;
}

static PyMethodDef messages_methods[] = {
    {"of", messages_of, METH_O, of_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot messages_slots[] = {
    {Py_tp_new, messages_new},
    {Py_tp_dealloc, messages_dealloc},
    {Py_tp_methods, messages_methods},
    {0, NULL},
};

PyType_Spec gg_messages_spec = {
    .name = "greengrass_sdk._native._fast.Messages",
    .basicsize = sizeof(struct messages),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = messages_slots,
};
