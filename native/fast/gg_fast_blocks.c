/* SPDX-License-Identifier: Apache-2.0 */
#include "gg_fast.h"

#include "gg/block.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <string.h>
#include <unistd.h>

/* What is done for each message of a stream. Nothing here drops the GIL but to
 * read a file: a mebibyte takes less than the turn that taking it back may
 * cost. */

PyDoc_STRVAR(crc32_doc,
"crc32(data, value=0)\n--\n\nAs in zlib.");

static PyObject *crc32_of(PyObject *module, PyObject *args)
{
    unsigned int value = 0;
    Py_buffer data;
    uint32_t found;

    (void)module;
    if (!PyArg_ParseTuple(args, "y*|I:crc32", &data, &value))
        return NULL;
    found = gg_crc32(value, data.buf, (size_t)data.len);
    PyBuffer_Release(&data);
    return PyLong_FromUnsignedLong(found);
}

PyDoc_STRVAR(run_doc,
"run_of_blocks(data, salt, count)\n--\n\n"
"See greengrass_sdk.wire.blocks.");

static PyObject *run_of_blocks(PyObject *module, PyObject *args)
{
    unsigned long long count;
    struct gg_run run;
    unsigned int salt;
    Py_buffer data;

    (void)module;
    if (!PyArg_ParseTuple(args, "y*IK:run_of_blocks", &data, &salt, &count))
        return NULL;
    gg_block_run(data.buf, (size_t)data.len, salt, count, &run);
    PyBuffer_Release(&data);
    return Py_BuildValue("nKKK", (Py_ssize_t)run.size,
                         (unsigned long long)run.first,
                         (unsigned long long)run.stop,
                         (unsigned long long)run.time);
}

static const char no_block[] = "a block is cut off, or is none";

PyDoc_STRVAR(stop_doc,
"stop_of_blocks(data)\n--\n\nSee greengrass_sdk.wire.blocks.");

static PyObject *stop_of_blocks(PyObject *module, PyObject *args)
{
    struct gg_block block = {.count = 0};
    size_t at = 0;
    Py_buffer data;
    int status = GG_OK;

    (void)module;
    if (!PyArg_ParseTuple(args, "y*:stop_of_blocks", &data))
        return NULL;
    for (; at < (size_t)data.len && status == GG_OK; at += block.size)
        status = gg_block_read((const uint8_t *)data.buf + at,
                               (size_t)data.len - at, &block);
    PyBuffer_Release(&data);
    if (status != GG_OK || block.count == 0) {
        PyErr_SetString(PyExc_ValueError,
                        status != GG_OK ? no_block : "there are no blocks");
        return NULL;
    }
    return PyLong_FromUnsignedLongLong(block.first + block.count);
}

/* --- messages as CBOR --- */

static const char number_key[] = "\x6esequenceNumber\x1b";
static const char time_key[] = "\x6aingestTime\x1b";
static const char payload_key[] = "\x67payload\x5a";

enum { LIST = 5, FIELDS = 16 + 8 + 12 + 8 + 9 + 4 };

_Static_assert(sizeof number_key - 1 == 16 && sizeof time_key - 1 == 12 &&
                   sizeof payload_key - 1 == 9,
               "FIELDS is their sum, with the numbers behind them");

static uint8_t *put(uint8_t *at, const void *data, size_t size)
{
    memcpy(at, data, size);
    return at + size;
}

/* Big-endian. */
static uint8_t *put_number(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
    return at + bytes;
}

static uint8_t *put_messages(uint8_t *at, const Py_buffer *head,
                             const struct gg_block *block)
{
    const uint8_t *payload = block->body;

    for (uint32_t i = 0; i < block->count; i++) {
        uint32_t size = gg_block_message(block, i);

        at = put(at, head->buf, (size_t)head->len);
        at = put(at, number_key, sizeof number_key - 1);
        at = put_number(at, block->first + i, 8);
        at = put(at, time_key, sizeof time_key - 1);
        at = put_number(at, block->time, 8);
        at = put(at, payload_key, sizeof payload_key - 1);
        at = put_number(at, size, 4);
        at = put(at, payload, size);
        payload += size;
    }
    return at;
}

/* Add up what blocks take; 0, or -1 with an exception. */
static int measure(const Py_buffer *data, size_t each, uint64_t *count,
                   size_t *size)
{
    struct gg_block block;

    *count = 0;
    *size = LIST;
    for (size_t at = 0; at < (size_t)data->len; at += block.size) {
        if (gg_block_read((const uint8_t *)data->buf + at,
                          (size_t)data->len - at, &block) != GG_OK) {
            PyErr_SetString(PyExc_ValueError, no_block);
            return -1;
        }
        *count += block.count;
        *size += block.count * each + block.size - GG_BLOCK_HEADER -
                 4 * (size_t)block.count;
    }
    return 0;
}

PyDoc_STRVAR(cbor_doc,
"cbor_of_blocks(before, head, data)\n--\n\n"
"See greengrass_sdk.wire.streammessages.");

static PyObject *cbor_of_blocks(PyObject *module, PyObject *args)
{
    Py_buffer before, head, data;
    PyObject *made = NULL;
    uint64_t count;
    size_t size;

    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*y*:cbor_of_blocks", &before, &head, &data))
        return NULL;
    if (measure(&data, (size_t)head.len + FIELDS, &count, &size) == 0) {
        size += (size_t)before.len;
        made = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)size + 4);
    }
    if (made != NULL) {
        uint8_t *at = (uint8_t *)PyByteArray_AsString(made);
        struct gg_block block;

        at = put_number(at, size, 4);
        at = put(at, before.buf, (size_t)before.len);
        *at++ = 0x9a;
        at = put_number(at, count, 4);
        for (size_t from = 0; from < (size_t)data.len; from += block.size) {
            if (gg_block_read((const uint8_t *)data.buf + from,
                              (size_t)data.len - from, &block) != GG_OK)
                break; /* it was one above */
            at = put_messages(at, &head, &block);
        }
    }
    PyBuffer_Release(&before);
    PyBuffer_Release(&head);
    PyBuffer_Release(&data);
    return made;
}

PyDoc_STRVAR(lent_doc,
"read_lent(descriptor, offset, size, head)\n--\n\n"
"See greengrass_sdk._native._py.lent.");

static PyObject *read_lent(PyObject *module, PyObject *args)
{
    long long offset;
    PyObject *made;
    Py_ssize_t size;
    Py_buffer head;
    int descriptor;

    (void)module;
    if (!PyArg_ParseTuple(args, "iLny*:read_lent", &descriptor, &offset, &size,
                          &head))
        return NULL;
    made = PyBytes_FromStringAndSize(NULL, head.len + size);
    if (made != NULL) {
        char *bytes = PyBytes_AsString(made);
        uint8_t *at = put((uint8_t *)bytes, head.buf, (size_t)head.len);
        ssize_t got;

        Py_BEGIN_ALLOW_THREADS /* it may have to come from the disk */
        got = pread(descriptor, at, (size_t)size, (off_t)offset);
        Py_END_ALLOW_THREADS
        if (got < size) {
            Py_ssize_t left = head.len + (got > 0 ? (Py_ssize_t)got : 0);
            PyObject *whole = made;

            made = PyBytes_FromStringAndSize(bytes, left);
            Py_DECREF(whole);
        }
    }
    PyBuffer_Release(&head);
    return made;
}

PyDoc_STRVAR(is_fast_doc,
"crc32_is_fast()\n--\n\nWhether the processor has instructions for it.");

static PyObject *is_fast(PyObject *module, PyObject *nothing)
{
    (void)module;
    (void)nothing;
    return PyBool_FromLong(gg_crc32_is_fast());
}

PyDoc_STRVAR(keep_doc,
"keep_freed(size)\n--\n\nSee greengrass_sdk._native.");

static PyObject *keep_freed(PyObject *module, PyObject *args)
{
    int size;

    (void)module;
    if (!PyArg_ParseTuple(args, "i:keep_freed", &size))
        return NULL;
#ifdef __GLIBC__
    (void)mallopt(M_TRIM_THRESHOLD, size);
    (void)mallopt(M_MMAP_THRESHOLD, size / 2);
#endif
    return Py_NewRef(Py_None);
}

PyMethodDef gg_block_methods[] = {
    {"crc32", crc32_of, METH_VARARGS, crc32_doc},
    {"run_of_blocks", run_of_blocks, METH_VARARGS, run_doc},
    {"cbor_of_blocks", cbor_of_blocks, METH_VARARGS, cbor_doc},
    {"stop_of_blocks", stop_of_blocks, METH_VARARGS, stop_doc},
    {"read_lent", read_lent, METH_VARARGS, lent_doc},
    {"keep_freed", keep_freed, METH_VARARGS, keep_doc},
    {"crc32_is_fast", is_fast, METH_NOARGS, is_fast_doc},
    {NULL, NULL, 0, NULL},
};

/* --- messages --- */

static const char *const record_fields[] = {
    "stream_name", "sequence_number", "ingest_time", "payload", NULL,
};

struct records {
    PyObject_HEAD
    struct gg_shape shape;
};

static void records_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);

    gg_shape_forget(&((struct records *)object)->shape);
    PyObject_Free(object);
    Py_DECREF(type);
}

static PyObject *records_new(PyTypeObject *type, PyObject *args,
                             PyObject *kwargs)
{
    static const char *const names[] = {"message", NULL};
    struct records *self;
    PyObject *message;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:Records",
                                     (char **)(uintptr_t)names, &message))
        return NULL;
    self = (struct records *)PyType_GenericAlloc(type, 0);
    if (self == NULL)
        return NULL;
    if (gg_shape_learn(&self->shape, message, record_fields) != 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* Append the messages of a block; 0, or -1 with an exception. */
static int add_records(struct records *self, PyObject *found, PyObject *name,
                       const struct gg_block *block)
{
    PyObject *time = PyLong_FromUnsignedLongLong(block->time);
    const uint8_t *at = block->body;
    int status = time == NULL ? -1 : 0;

    for (uint32_t i = 0; i < block->count && status == 0; i++) {
        Py_ssize_t size = (Py_ssize_t)gg_block_message(block, i);
        PyObject *values[4] = {
            Py_NewRef(name),
            PyLong_FromUnsignedLongLong(block->first + i),
            Py_NewRef(time),
            PyBytes_FromStringAndSize((const char *)at, size),
        };
        PyObject *record = gg_shape_make(&self->shape, values, 4);

        if (record == NULL || PyList_Append(found, record) != 0)
            status = -1;
        else /* of text, numbers and bytes: it is in no cycle */
            PyObject_GC_UnTrack(record);
        Py_XDECREF(record);
        at += size;
    }
    Py_XDECREF(time);
    return status;
}

PyDoc_STRVAR(of_doc,
"of(name, data)\n--\n\nReturn the messages in blocks that follow each other.");

static PyObject *records_of(PyObject *object, PyObject *args)
{
    PyObject *name, *found = PyList_New(0);
    struct gg_block block;
    Py_buffer data;
    size_t at = 0;

    if (found == NULL)
        return NULL;
    if (!PyArg_ParseTuple(args, "Oy*:of", &name, &data)) {
        Py_DECREF(found);
        return NULL;
    }
    while (found != NULL && at < (size_t)data.len) {
        const uint8_t *bytes = data.buf;

        if (gg_block_read(bytes + at, (size_t)data.len - at, &block) != GG_OK) {
            PyErr_SetString(PyExc_ValueError, no_block);
            Py_CLEAR(found);
        } else {
            if (add_records((struct records *)object, found, name, &block) != 0)
                Py_CLEAR(found);
            at += block.size;
        }
    }
    PyBuffer_Release(&data);
    return found;
}

static PyMethodDef records_methods[] = {
    {"of", records_of, METH_VARARGS, of_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot records_slots[] = {
    {Py_tp_new, records_new},
    {Py_tp_dealloc, records_dealloc},
    {Py_tp_methods, records_methods},
    {0, NULL},
};

PyType_Spec gg_records_spec = {
    .name = "greengrass_sdk._native._fast.Records",
    .basicsize = sizeof(struct records),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = records_slots,
};
