/* SPDX-License-Identifier: Apache-2.0 */
#include "gg_fast.h"

static int add_type(PyObject *module, const char *name, PyType_Spec *spec)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    int status = PyModule_AddObjectRef(module, name, type);

    Py_XDECREF(type);
    return status;
}

static int execute(PyObject *module)
{
    if (add_type(module, "Lane", &gg_lane_spec) != 0)
        return -1;
    if (add_type(module, "Messages", &gg_messages_spec) != 0)
        return -1;
    return add_type(module, "Records", &gg_records_spec);
}

/* Nothing here locks: without Py_mod_gil, a free-threaded interpreter that
 * imports this goes on with its GIL. */
static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, execute},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_fast",
    .m_doc = "The calls that are made for every message.",
    .m_methods = gg_block_methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__fast(void)
{
    return PyModuleDef_Init(&definition);
}
