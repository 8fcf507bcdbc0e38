/* SPDX-License-Identifier: Apache-2.0 */
#include "gg_fast.h"

const char *const gg_frame_fields[] = {
    "kind", "flags", "endpoint", "id", "topic", "context", "payload", NULL,
};

void gg_shape_forget(struct gg_shape *shape)
{
    for (int i = 0; i < GG_FIELDS; i++)
        Py_CLEAR(shape->slots[i]);
    Py_CLEAR(shape->type);
}

int gg_shape_learn(struct gg_shape *shape, PyObject *type,
                   const char *const *names)
{
    PyTypeObject *kind = NULL;

    if (!PyType_Check(type)) {
        PyErr_SetString(PyExc_TypeError, "a class is needed");
        return -1;
    }
    shape->type = (PyTypeObject *)Py_NewRef(type);
    shape->alloc = (allocfunc)PyType_GetSlot(shape->type, Py_tp_alloc);
    for (int i = 0; names[i] != NULL; i++) {
        shape->slots[i] = PyObject_GetAttrString(type, names[i]);
        if (shape->slots[i] == NULL)
            return -1;
        if (kind == NULL)
            kind = Py_TYPE(shape->slots[i]);
        if (kind != Py_TYPE(shape->slots[i])) {
            PyErr_SetString(PyExc_TypeError, "a class with slots is needed");
            return -1;
        }
    }
    shape->get = (descrgetfunc)PyType_GetSlot(kind, Py_tp_descr_get);
    shape->set = (descrsetfunc)PyType_GetSlot(kind, Py_tp_descr_set);
    if (shape->get == NULL || shape->set == NULL) {
        PyErr_SetString(PyExc_TypeError, "a class with slots is needed");
        return -1;
    }
    return 0;
}

PyObject *gg_shape_make(const struct gg_shape *shape, PyObject **values,
                        int count)
{
    PyObject *made = NULL;
    int good = 1;

    for (int i = 0; i < count; i++)
        good = good && values[i] != NULL;
    if (good)
        made = shape->alloc(shape->type, 0);
    for (int i = 0; i < count; i++) {
        if (made != NULL && shape->set(shape->slots[i], made, values[i]) != 0)
            Py_CLEAR(made);
        Py_XDECREF(values[i]);
    }
    return made;
}

PyObject *gg_shape_get(const struct gg_shape *shape, int slot, PyObject *object)
{
    return shape->get(shape->slots[slot], object, (PyObject *)shape->type);
}
