/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GG_FAST_H
#define GG_FAST_H

/* The calls that are made for every message, without the cost of a binding.
 *
 * cffi drops the GIL around each call. Beside a thread that computes, taking
 * it back costs a turn of 5 ms, and alone still more than the copy into the
 * ring. What is done here takes less than a microsecond and keeps the GIL;
 * only a large copy drops it.
 *
 * Nothing of this is needed: each call may say "not this way" (False), with
 * nothing done and no exception, and the caller goes the long way, which
 * knows the words for what is wrong. Of the C library only what has no state
 * is linked a second time, for blocks; of the rest, the binding in _lib hands
 * over the addresses of its functions.
 *
 * One method is one C call, during which no Python code runs: the interpreter
 * runs signal handlers before or after it, so what a call reports is never
 * lost (greengrass_sdk/_native/_py/link.py has the rules). */

#include <Python.h>

/* --- objects of a Python class with __slots__ --- */

enum { GG_FIELDS = 7 };

/* The class and its slots: descriptors, which know where a slot is and check
 * what they are given. */
struct gg_shape {
    PyTypeObject *type;
    allocfunc alloc;
    descrgetfunc get;
    descrsetfunc set;
    PyObject *slots[GG_FIELDS];
};

/* Of a frame, in this order. */
enum { KIND, FLAGS, ENDPOINT, ID, TOPIC, CONTEXT, PAYLOAD };
extern const char *const gg_frame_fields[];

/* Look up `names`, which NULL ends; 0, or -1 with an exception, and then, too,
 * gg_shape_forget() is due. */
int gg_shape_learn(struct gg_shape *shape, PyObject *type,
                   const char *const *names);
void gg_shape_forget(struct gg_shape *shape);

/* Return a new object; takes over the references in `values`, also the NULL of
 * one that could not be made. */
PyObject *gg_shape_make(const struct gg_shape *shape, PyObject **values,
                        int count);

PyObject *gg_shape_get(const struct gg_shape *shape, int slot,
                       PyObject *object);

/* --- the types --- */

#define GG_FAST_CALL(function) ((PyCFunction)(void (*)(void))(function))

extern PyType_Spec gg_lane_spec;
extern PyType_Spec gg_messages_spec;
extern PyType_Spec gg_records_spec;

/* Functions of the module. */
extern PyMethodDef gg_block_methods[];

#endif
