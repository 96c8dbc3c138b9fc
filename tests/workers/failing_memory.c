/* SPDX-License-Identifier: MIT
 *
 * failing_memory.c - a module of Python by which the Nth allocation of
 * Python's that a call makes fails, and what it leaves behind is counted.
 *
 * Objects that Python keeps for reuse are let go first: what takes one of
 * them allocates nothing, and could not fail.  No Python code may run in such
 * a call: the interpreter itself does not get over each failure (3.13 crashes
 * in a generator without a frame), so here are the callables of C for it.
 */
#include <Python.h>

#include <stdatomic.h>

/* How many allocations go well until one fails; -1: none does. */
static _Thread_local long left = -1;
static _Thread_local int always, failed;
static atomic_long living;

static PyMemAllocatorEx previous[3];
static const PyMemAllocatorDomain domains[3] = { PYMEM_DOMAIN_RAW,
    PYMEM_DOMAIN_MEM, PYMEM_DOMAIN_OBJ };

static int fails(void)
{
    if (left < 0)
        return 0;
    if (left > 0) {
        left--;
        return 0;
    }
    if (!always)
        left = -1;
    failed = 1;
    return 1;
}

static void *counted(void *piece)
{
    if (piece != NULL)
        living++;
    return piece;
}

static void *fail_malloc(void *context, size_t size)
{
    PyMemAllocatorEx *below = context;

    return fails() ? NULL : counted(below->malloc(below->ctx, size));
}

static void *fail_calloc(void *context, size_t count, size_t size)
{
    PyMemAllocatorEx *below = context;

    return fails() ? NULL : counted(below->calloc(below->ctx, count, size));
}

static void *fail_realloc(void *context, void *piece, size_t size)
{
    PyMemAllocatorEx *below = context;
    void *moved = fails() ? NULL : below->realloc(below->ctx, piece, size);

    return piece == NULL ? counted(moved) : moved;
}

static void count_free(void *context, void *piece)
{
    PyMemAllocatorEx *below = context;

    if (piece != NULL)
        living--;
    below->free(below->ctx, piece);
}

static PyObject *install(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    for (int i = 0; i < 3; i++) {
        PyMemAllocatorEx ours = { &previous[i], fail_malloc, fail_calloc,
            fail_realloc, count_free };

        PyMem_GetAllocator(domains[i], &previous[i]);
        PyMem_SetAllocator(domains[i], &ours);
    }
    Py_RETURN_NONE;
}

static PyObject *uninstall(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    for (int i = 0; i < 3; i++)
        PyMem_SetAllocator(domains[i], &previous[i]);
    Py_RETURN_NONE;
}

/* call(number, always, function, *args): whether one failed, the result or
 * NULL's None, the exception or None. */
static PyObject *call(
    PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    PyObject *result, *type, *value, *traceback, *all;
    long number;

    (void)module;
    if (count < 3)
        return PyErr_Format(PyExc_TypeError, "call(number, always, function)");
    number = PyLong_AsLong(args[0]);
    always = PyObject_IsTrue(args[1]);
    PyGC_Collect();
    failed = 0;
    left = number;
    result = PyObject_Vectorcall(args[2], args + 3, count - 3, NULL);
    left = -1;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    all = Py_BuildValue("(OOO)", failed ? Py_True : Py_False,
        result != NULL ? result : Py_None, value != NULL ? value : Py_None);
    Py_XDECREF(result);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    return all;
}

/* query(context, oid): calls context[0] with context[1], gives context[2]. */
static PyObject *call_first(
    PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    PyObject *done = PyObject_CallFunctionObjArgs(
        PyTuple_GetItem(args[0], 0), PyTuple_GetItem(args[0], 1), NULL);

    (void)module, (void)count;
    if (done == NULL)
        return NULL;
    Py_DECREF(done);
    return Py_BuildValue("O", PyTuple_GetItem(args[0], 2));
}

/* arm(number): as if the call began only here. */
static PyObject *arm(PyObject *module, PyObject *number)
{
    (void)module;
    left = PyLong_AsLong(number);
    Py_RETURN_NONE;
}

/* Pieces of memory that Python has. */
static PyObject *count_living(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    PyGC_Collect();
    return PyLong_FromLong(living);
}

/* encode(oid, value) and decode(oid, bytes): bytes of the value. */
static PyObject *to_bytes(
    PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module, (void)count;
    return PyObject_Bytes(args[1]);
}

/* raise_status(status): a LookupError. */
static PyObject *raise_lookup(PyObject *module, PyObject *status)
{
    (void)module;
    PyErr_SetObject(PyExc_LookupError, status);
    return NULL;
}

/* query(context, oid), set(context, oid, value): raises the context. */
static PyObject *raise_context(
    PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module, (void)count;
    PyErr_SetObject((PyObject *)Py_TYPE(args[0]), args[0]);
    return NULL;
}

static PyMethodDef methods[] = {
    { "install", install, METH_NOARGS, NULL },
    { "uninstall", uninstall, METH_NOARGS, NULL },
    { "call", (PyCFunction)(void (*)(void))call, METH_FASTCALL, NULL },
    { "to_bytes", (PyCFunction)(void (*)(void))to_bytes, METH_FASTCALL,
        NULL },
    { "raise_lookup", raise_lookup, METH_O, NULL },
    { "raise_context", (PyCFunction)(void (*)(void))raise_context,
        METH_FASTCALL, NULL },
    { "call_first", (PyCFunction)(void (*)(void))call_first, METH_FASTCALL,
        NULL },
    { "arm", arm, METH_O, NULL },
    { "count_living", count_living, METH_NOARGS, NULL },
    { NULL, NULL, 0, NULL }
};

static PyModuleDef definition = { PyModuleDef_HEAD_INIT, "failing_memory",
    NULL, -1, methods, NULL, NULL, NULL, NULL };

PyMODINIT_FUNC PyInit_failing_memory(void)
{
    return PyModule_Create(&definition);
}
