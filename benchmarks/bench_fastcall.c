/* SPDX-License-Identifier: MIT
 *
 * bench_fastcall.c - the floors of calls between Python and C: an empty
 * METH_FASTCALL function, and one that calls a Python function back.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyObject *empty(
    PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module, (void)args, (void)count;
    return Py_NewRef(Py_None);
}

/* call(function, a, b) -> function(a, b) */
static PyObject *call(
    PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    return PyObject_Vectorcall(args[0], args + 1, (size_t)(count - 1), NULL);
}

static PyMethodDef methods[] = {
    { "empty", (PyCFunction)(void (*)(void))empty, METH_FASTCALL, NULL },
    { "call", (PyCFunction)(void (*)(void))call, METH_FASTCALL, NULL },
    { NULL, NULL, 0, NULL }
};

static struct PyModuleDef module = { PyModuleDef_HEAD_INIT,
    "bench_fastcall", NULL, 0, methods, NULL, NULL, NULL, NULL };

PyMODINIT_FUNC PyInit_bench_fastcall(void)
{
    return PyModule_Create(&module);
}
