/* SPDX-License-Identifier: MIT
 *
 * python_later.h - what fastcall.c takes of Python that came into the limited
 * API after 3.10, for which it is built.
 *
 * Buffers came in 3.11.  The three functions are exported by CPython 3.10 all
 * the same, and Py_buffer has the layout there that 3.11 made stable.  Calls
 * without a tuple came in 3.12, are exported by 3.11, and are not there in
 * 3.10.  The smoke tests run on each.
 */
#ifndef NB_PYTHON_LATER_H
#define NB_PYTHON_LATER_H

#if defined(Py_LIMITED_API) && Py_LIMITED_API + 0 < 0x030B0000

typedef struct {
    void *buf;
    PyObject *obj;
    Py_ssize_t len;
    Py_ssize_t itemsize;
    int readonly;
    int ndim;
    char *format;
    Py_ssize_t *shape;
    Py_ssize_t *strides;
    Py_ssize_t *suboffsets;
    void *internal;
} Py_buffer;

#define PyBUF_WRITABLE 0x0001
#define PyBUF_FORMAT 0x0004
#define PyBUF_ND 0x0008

PyAPI_FUNC(int) PyObject_CheckBuffer(PyObject *object);
PyAPI_FUNC(int) PyObject_GetBuffer(
    PyObject *object, Py_buffer *view, int flags);
PyAPI_FUNC(void) PyBuffer_Release(Py_buffer *view);

#endif

#if defined(Py_LIMITED_API) && Py_LIMITED_API + 0 < 0x030C0000

#define PY_VECTORCALL_ARGUMENTS_OFFSET ((size_t)1 << (8 * sizeof(size_t) - 1))

PyAPI_FUNC(PyObject *) PyObject_Vectorcall(PyObject *callable,
    PyObject *const *args, size_t count, PyObject *names)
    __attribute__((weak));

#define NB_HAS_VECTORCALL (PyObject_Vectorcall != NULL)
#else
#define NB_HAS_VECTORCALL 1
#endif

/* callable(a, b): for a method 9 ns less than by the function with a list of
 * arguments. */
static inline PyObject *nb_call(PyObject *callable, PyObject *a, PyObject *b)
{
    PyObject *args[] = { NULL, a, b };

    return NB_HAS_VECTORCALL
        ? PyObject_Vectorcall(
            callable, args + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL)
        : PyObject_CallFunctionObjArgs(callable, a, b, NULL);
}

#endif
