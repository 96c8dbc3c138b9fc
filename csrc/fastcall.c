/* SPDX-License-Identifier: MIT
 *
 * fastcall.c - the few calls from Python that are made so often that cffi's
 * giving up and taking back of the GIL would cost more than they do.
 *
 * With the GIL held it only does what cannot block: the try_ forms of the
 * core.  When those answer PENDING it lets the GIL go and makes the plain
 * call.  It also holds the way back: the C functions that call a Python
 * handler, and the exceptions that such calls leave behind for the thread
 * that asked.
 *
 * Limited API of 3.10, where METH_FASTCALL came in, and a little that came
 * later (python_later.h); all of the API where there is no GIL.  "With the GIL
 * held" means attached to the interpreter there, and excludes nobody.  No
 * other file includes Python.h.
 */
/* It says whether there is a GIL; without one there is no limited API. */
#include <pyconfig.h>
#ifndef Py_GIL_DISABLED
#define Py_LIMITED_API 0x030A0000
#endif
#include <Python.h>

#include <string.h>

#include "../ndisbridge/include/ndisbridge.h"
#include "platform.h"
#include "python_later.h"

/* What Py_RETURN_NONE does with the headers of 3.12 and later takes None to
 * be immortal, which it is not where this binary runs on an older one. */
static PyObject *none(void)
{
    Py_INCREF(Py_None);
    return Py_None;
}

/* ---- exceptions on their way ------------------------------------------ */

/* A list of the exceptions that Python code, called from C called from
 * Python, has raised on this thread; NULL for none. */
static _Thread_local PyObject *parked;

static void drop_parked(void)
{
    Py_CLEAR(parked);
}

/* Takes the current exception, normalized, off the thread state. */
static PyObject *fetch_exception(void)
{
    PyObject *type, *value, *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(value, traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
}

/* -1, with a MemoryError, where there is no memory to keep it in. */
static int park(PyObject *exception)
{
    if (parked == NULL)
        parked = PyList_New(0);
    return parked != NULL ? PyList_Append(parked, exception) : -1;
}

/* Raises an exception as it is.  PyErr_SetObject() would make what the caller
 * is handling its context, and forget the one that it has. */
static void restore(PyObject *exception)
{
    PyObject *type = (PyObject *)Py_TYPE(exception);

    Py_INCREF(type);
    Py_INCREF(exception);
    PyErr_Restore(type, exception, PyException_GetTraceback(exception));
}

/* Raises what is parked, or what raise_status makes of a status, and of a
 * text if there is one. */
static PyObject *fail_because(
    PyObject *raise_status, ndisbridge_status status, PyObject *text)
{
    PyObject *list = parked, *number, *result;

    parked = NULL;
    if (list != NULL && PyList_Size(list) > 0) {
        restore(PyList_GetItem(list, PyList_Size(list) - 1));
        Py_DECREF(list);
        return NULL;
    }
    Py_XDECREF(list);
    number = PyLong_FromLong(status);
    if (number == NULL)
        return NULL;
    result = PyObject_CallFunctionObjArgs(raise_status, number, text, NULL);
    Py_DECREF(number);
    if (result != NULL) {
        Py_DECREF(result);
        PyErr_SetString(PyExc_SystemError, "a failure did not raise");
    }
    return NULL;
}

static PyObject *fail(PyObject *raise_status, ndisbridge_status status)
{
    return fail_because(raise_status, status, NULL);
}

static PyObject *module_park(PyObject *module, PyObject *exception)
{
    (void)module;
    if (!PyExceptionInstance_Check(exception)) {
        PyErr_SetString(PyExc_TypeError, "only exceptions can be parked");
        return NULL;
    }
    return park(exception) == 0 ? none() : NULL;
}

static PyObject *module_reraise(PyObject *module, PyObject *exception)
{
    (void)module;
    if (!PyExceptionInstance_Check(exception)) {
        PyErr_SetString(PyExc_TypeError, "only exceptions can be raised");
        return NULL;
    }
    restore(exception);
    return NULL;
}

/* Where an exception is nobody's: sys.unraisablehook(). */
static PyObject *module_write_unraisable(
    PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    if (count != 2 || !PyExceptionInstance_Check(args[0])) {
        PyErr_SetString(
            PyExc_TypeError, "write_unraisable(exception, object)");
        return NULL;
    }
    restore(args[0]);
    PyErr_WriteUnraisable(args[1]);
    return none();
}

static PyObject *module_take_parked(PyObject *module, PyObject *unused)
{
    PyObject *list = parked;

    (void)module, (void)unused;
    parked = NULL;
    return list != NULL ? list : PyList_New(0);
}

/* ---- arguments -------------------------------------------------------- */

/* What else reads 64 bits copies the digits of an int as bytes: 12 ns. */
static unsigned long long as_u64(PyObject *object)
{
#if SIZE_MAX >= UINT64_MAX
    return PyLong_AsSize_t(object);
#else
    return PyLong_AsUnsignedLongLong(object);
#endif
}

/* An int that does not fit is a value that no NET_LUID, index or OID can
 * have: it becomes one that the core does not know. */
static int to_u64(PyObject *object, unsigned long long *value)
{
    *value = as_u64(object);
    if (*value == (unsigned long long)-1 && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError))
            return -1;
        PyErr_Clear();
    }
    return 0;
}

static int to_u32(PyObject *object, uint32_t *value)
{
    unsigned long long wide;

    if (to_u64(object, &wide) != 0)
        return -1;
    *value = wide < UINT32_MAX ? (uint32_t)wide : UINT32_MAX;
    return 0;
}

/* Whether a format of the struct module, of an item of 4 bytes, is that of an
 * int in the machine's own order.  NULL stands for bytes, which are of 1. */
static int is_int_format(const char *format)
{
#if PY_BIG_ENDIAN
    const char *orders = "@=>";
#else
    const char *orders = "@=<";
#endif
    if (NB_NEVER(format == NULL))
        return 0;
    format += memchr(orders, *format, 3) != NULL;
    return memchr("IiLl", *format, 4) != NULL;
}

/* The indexes that a buffer holds: contiguous, of uint32.  Keeps it in use
 * until PyBuffer_Release(). */
static int get_indexes(
    PyObject *object, Py_buffer *view, int flags, uint32_t *count)
{
    if (PyObject_GetBuffer(object, view, flags | PyBUF_ND | PyBUF_FORMAT) != 0)
        return -1;
    if (view->itemsize != 4 || !is_int_format(view->format)) {
        PyErr_SetString(PyExc_TypeError,
            "indexes must be a buffer of uint32, or ints");
    } else if (view->len != 0 && (uintptr_t)view->buf % 4 != 0) {
        PyErr_SetString(
            PyExc_TypeError, "indexes must lie at a multiple of 4 bytes");
    } else if (view->len / 4 > UINT32_MAX) {
        PyErr_SetString(PyExc_OverflowError, "a buffer of too many indexes");
    } else {
        *count = (uint32_t)(view->len / 4);
        return 0;
    }
    PyBuffer_Release(view);
    return -1;
}

static PyObject *module_is_indexes(PyObject *module, PyObject *object)
{
    Py_buffer view;
    uint32_t count;

    (void)module;
    if (!PyObject_CheckBuffer(object))
        return PyBool_FromLong(0);
    if (get_indexes(object, &view, 0, &count) != 0)
        return NULL;
    PyBuffer_Release(&view);
    return PyBool_FromLong(1);
}

static int expect(Py_ssize_t given, Py_ssize_t wanted, const char *name)
{
    if (given == wanted)
        return 0;
    PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments (%zd given)",
        name, wanted, given);
    return -1;
}

/* Whether an object is of one of the types here, which are not at hand: but
 * nothing else ends like it. */
static int is_made_by(PyObject *object, destructor dealloc, const char *text)
{
    if (PyType_GetSlot(Py_TYPE(object), Py_tp_dealloc)
        == (void *)(uintptr_t)dealloc)
        return 1;
    PyErr_SetString(PyExc_TypeError, text);
    return 0;
}

/* ---- answers that are kept --------------------------------------------- */

/* The objects made of the numbers that were answered last: to find one takes
 * 2 ns, to make an int 9, a NetLuid 110.  The core is asked all the same, so
 * that none is ever out of date.  They are ints, which refer to nothing.
 * Without a GIL nothing guards a slot: there they are made anew. */
typedef struct {
    uint64_t number;
    PyObject *object;
} Kept;

#ifndef Py_GIL_DISABLED
#define KEPT 1024
#else
#define KEPT 1
#endif

/* An int, or one of the class, if there is one. */
static PyObject *make_number(PyObject *kind, uint64_t number)
{
    PyObject *plain = PyLong_FromUnsignedLongLong(number), *object;

    if (plain == NULL || kind == NULL)
        return plain;
    object = PyObject_CallFunctionObjArgs(kind, plain, NULL);
    Py_DECREF(plain);
    return object;
}

static PyObject *answer(Kept *kept, PyObject *kind, uint64_t number)
{
#ifndef Py_GIL_DISABLED
    /* The lowest bits that differ are those of the index in a NET_LUID. */
    Kept *slot =
        &kept[(number ^ number >> 24 ^ number >> 48) & (KEPT - 1)];
    PyObject *object = slot->object, *old;

    if (NB_UNLIKELY(object == NULL) || NB_UNLIKELY(slot->number != number)) {
        object = make_number(kind, number);
        if (object == NULL)
            return NULL;
        old = slot->object;
        slot->object = object;
        slot->number = number;
        /* Before the old one goes, which may run code that comes here. */
        Py_INCREF(object);
        Py_XDECREF(old);
        return object;
    }
    Py_INCREF(object);
    return object;
#else
    (void)kept;
    return make_number(kind, number);
#endif
}

static void forget_answers(Kept *kept)
{
    for (uint32_t i = 0; i < KEPT; i++)
        Py_CLEAR(kept[i].object);
}

/* ---- SessionCore ------------------------------------------------------ */

/* Owns an ndisbridge_session: its memory goes when the last user does. */
typedef struct {
    PyObject_HEAD
    ndisbridge_session *session;
    PyObject *raise_status;  /* callable(status, text=None), raises */
    PyObject *net_luid;  /* NetLuid, a class of ints */
    Kept net_luids[KEPT], if_indexes[KEPT];
} SessionCore;

static PyObject *core_new(PyTypeObject *type, PyObject *args, PyObject *keys)
{
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    unsigned long long address;
    PyObject *raise_status, *net_luid;
    SessionCore *self;

    (void)keys;
    if (!PyArg_ParseTuple(args, "KOO!:SessionCore", &address, &raise_status,
            &PyType_Type, &net_luid))
        return NULL;
    if (!PyType_IsSubtype((PyTypeObject *)net_luid, &PyLong_Type)) {
        PyErr_SetString(PyExc_TypeError, "net_luid must be a class of ints");
        return NULL;
    }
    self = (SessionCore *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    self->session = (ndisbridge_session *)(uintptr_t)address;
    Py_INCREF(raise_status);
    self->raise_status = raise_status;
    Py_INCREF(net_luid);
    self->net_luid = net_luid;
    return (PyObject *)self;
}

/* A handler or a hook is still inside: the session stays, and with it what
 * raise_status keeps, to which its hooks point. */
static void warn_of_leak(PyObject *object)
{
    PyObject *type, *value, *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    if (PyErr_WarnEx(PyExc_ResourceWarning,
            "an ndisbridge_session with a call inside is leaked", 1)
        != 0)
        PyErr_WriteUnraisable((PyObject *)Py_TYPE(object));
    PyErr_Restore(type, value, traceback);
}

static void core_dealloc(PyObject *object)
{
    SessionCore *self = (SessionCore *)object;
    PyTypeObject *type = Py_TYPE(object);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    ndisbridge_session *session = self->session;
    ndisbridge_status status;
    PyObject *kind, *value, *traceback;

    /* Without waiting: this may be any moment of any thread, which may be
     * about to raise; the store's hooks are Python code too. */
    PyErr_Fetch(&kind, &value, &traceback);
    Py_BEGIN_ALLOW_THREADS
    status = ndisbridge_session_close(session, 0);
    if (status != NDISBRIDGE_STATUS_TIMEOUT)
        status = ndisbridge_session_destroy(session);
    Py_END_ALLOW_THREADS
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        Py_XDECREF(self->raise_status);
    else
        warn_of_leak(object);
    Py_XDECREF(self->net_luid);
    forget_answers(self->net_luids);
    forget_answers(self->if_indexes);
    PyErr_Restore(kind, value, traceback);
    release(object);
    Py_DECREF(type);
}

static PyObject *core_address(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromVoidPtr(((SessionCore *)self)->session);
}

static PyObject *core_get_if_index(PyObject *object, PyObject *net_luid)
{
    SessionCore *self = (SessionCore *)object;
    unsigned long long value;
    uint32_t if_index;
    ndisbridge_status status;

    if (to_u64(net_luid, &value) != 0)
        return NULL;
    status = ndisbridge_get_interface_index_from_net_luid(
        self->session, &if_index, value);
    if (status != NDISBRIDGE_STATUS_SUCCESS) {
        drop_parked();
        return fail(self->raise_status, status);
    }
    return answer(self->if_indexes, NULL, if_index);
}

static PyObject *core_get_net_luid(PyObject *object, PyObject *if_index)
{
    SessionCore *self = (SessionCore *)object;
    uint32_t value;
    ndisbridge_net_luid net_luid;
    ndisbridge_status status;

    if (to_u32(if_index, &value) != 0)
        return NULL;
    status = ndisbridge_get_net_luid_from_interface_index(
        self->session, &net_luid, value);
    if (status != NDISBRIDGE_STATUS_SUCCESS) {
        drop_parked();
        return fail(self->raise_status, status);
    }
    return answer(self->net_luids, self->net_luid, net_luid);
}

/* Room for the longest fixed answer; longer ones are asked for twice. */
#define FIRST_ANSWER 1024

static ndisbridge_status ask(SessionCore *self, void *output,
    uint32_t *length, ndisbridge_net_luid net_luid, uint32_t oid)
{
    uint32_t room = *length;
    ndisbridge_status status = ndisbridge_try_query(
        self->session, output, length, net_luid, oid);

    if (status == NDISBRIDGE_STATUS_PENDING) {
        *length = room;
        Py_BEGIN_ALLOW_THREADS
        status = ndisbridge_query(
            self->session, output, length, net_luid, oid);
        Py_END_ALLOW_THREADS
    }
    return status;
}

/* How often an answer may have grown while it was asked for: a handler that
 * always wants more must not keep its asker for ever. */
#define MOST_ROUNDS 16

/* Asks again with as much room as the answer wants, until it fits. */
static PyObject *ask_long(SessionCore *self, uint32_t length,
    ndisbridge_net_luid net_luid, uint32_t oid)
{
    for (int rounds = 0; rounds < MOST_ROUNDS; rounds++) {
        PyObject *bytes;
        uint32_t room = length;
        void *output = PyMem_Malloc(room);
        ndisbridge_status status;

        if (output == NULL)
            return PyErr_NoMemory();
        drop_parked();
        status = ask(self, output, &length, net_luid, oid);
        bytes = status == NDISBRIDGE_STATUS_SUCCESS
            ? PyBytes_FromStringAndSize(output, (Py_ssize_t)length)
            : NULL;
        PyMem_Free(output);
        if (status == NDISBRIDGE_STATUS_SUCCESS) {
            drop_parked();
            return bytes;
        }
        /* The core gives no handler's word for it that is no longer. */
        if (status != NDISBRIDGE_STATUS_BUFFER_TOO_SHORT
            || NB_NEVER(length <= room))
            return fail(self->raise_status, status);
    }
    return fail(self->raise_status, NDISBRIDGE_STATUS_INVALID_DATA);
}

/* A counted string without its length, as str. */
static PyObject *string_value(const void *answer)
{
    const ndisbridge_if_counted_string *string = answer;
#if PY_BIG_ENDIAN
    int order = 1;
#else
    int order = -1;
#endif
    return PyUnicode_DecodeUTF16((const char *)string->string,
        string->length, "surrogatepass", &order);
}

/* The members of an array: each an int, or its bytes. */
static PyObject *list_value(const ndisbridge_oid_description *description,
    const char *answer, uint32_t length)
{
    uint32_t size = description->size, count = length / size, number;
    PyObject *list = PyList_New((Py_ssize_t)count), *member;

    for (uint32_t i = 0; list != NULL && i < count; i++, answer += size) {
        /* Arrays of ints have members of no other size yet. */
        if (description->type == NDISBRIDGE_OID_TYPE_UNSIGNED
            && NB_ALWAYS(size == 4)) {
            memcpy(&number, answer, 4);
            member = PyLong_FromUnsignedLong(number);
        } else {
            member = PyBytes_FromStringAndSize(answer, (Py_ssize_t)size);
        }
        /* Takes the member, also when it fails: where there is no place. */
        if (member == NULL
            || NB_NEVER(PyList_SetItem(list, (Py_ssize_t)i, member) != 0)) {
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}

/* The value of an answer where its type is a plain one or an array, else its
 * bytes.  The core has seen to its length. */
static PyObject *plain_value(
    uint32_t oid, const void *answer, uint32_t length)
{
    ndisbridge_oid_description description;
    uint64_t wide;
    uint32_t narrow;

    if (ndisbridge_describe_oid(&description, oid)
        != NDISBRIDGE_STATUS_SUCCESS)
        return PyBytes_FromStringAndSize(answer, (Py_ssize_t)length);
    if (description.size_rule == NDISBRIDGE_OID_SIZE_ARRAY)
        return list_value(&description, answer, length);
    if (description.type == NDISBRIDGE_OID_TYPE_BOOLEAN
        && NB_ALWAYS(length == 1))
        return PyBool_FromLong(*(const uint8_t *)answer);
    if (description.type == NDISBRIDGE_OID_TYPE_COUNTED_STRING)
        return string_value(answer);
    if (description.type == NDISBRIDGE_OID_TYPE_UNSIGNED && length == 8) {
        memcpy(&wide, answer, 8);
        return PyLong_FromUnsignedLongLong(wide);
    }
    if (description.type == NDISBRIDGE_OID_TYPE_UNSIGNED
        && NB_ALWAYS(length == 4)) {
        memcpy(&narrow, answer, 4);
        return PyLong_FromUnsignedLong(narrow);
    }
    return PyBytes_FromStringAndSize(answer, (Py_ssize_t)length);
}

static PyObject *query(SessionCore *self, PyObject *const *args,
    Py_ssize_t count, const char *name, int plain)
{
    uint64_t output[FIRST_ANSWER / 8];
    uint32_t length = FIRST_ANSWER, oid;
    unsigned long long net_luid;
    ndisbridge_status status;
    PyObject *bytes, *value;

    if (expect(count, 2, name) != 0 || to_u64(args[0], &net_luid) != 0
        || to_u32(args[1], &oid) != 0)
        return NULL;
    drop_parked();
    status = ask(self, output, &length, net_luid, oid);
    if (status == NDISBRIDGE_STATUS_BUFFER_TOO_SHORT
        && NB_ALWAYS(length > FIRST_ANSWER)) {
        bytes = ask_long(self, length, net_luid, oid);
        if (!plain || bytes == NULL)
            return bytes;
        value = plain_value(oid, PyBytes_AsString(bytes),
            (uint32_t)PyBytes_Size(bytes));
        Py_DECREF(bytes);
        return value;
    }
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return fail(self->raise_status, status);
    /* Of a handler whose failure was not the answer. */
    drop_parked();
    return plain ? plain_value(oid, output, length)
                 : PyBytes_FromStringAndSize(
                     (const char *)output, (Py_ssize_t)length);
}

static PyObject *core_query_bytes(
    PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    return query((SessionCore *)self, args, count, "query_bytes", 0);
}

static PyObject *core_query_plain(
    PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    return query((SessionCore *)self, args, count, "query_plain", 1);
}

static PyMethodDef core_methods[] = {
    { "get_if_index", core_get_if_index, METH_O,
        "get_if_index(net_luid) -> int" },
    { "get_net_luid", core_get_net_luid, METH_O,
        "get_net_luid(if_index) -> NetLuid" },
    { "query_bytes", (PyCFunction)(void (*)(void))core_query_bytes,
        METH_FASTCALL, "query_bytes(net_luid, oid) -> bytes" },
    { "query_plain", (PyCFunction)(void (*)(void))core_query_plain,
        METH_FASTCALL,
        "query_plain(net_luid, oid) -> int | bool | str | bytes | list" },
    { NULL, NULL, 0, NULL }
};

static PyGetSetDef core_members[] = {
    { "address", core_address, NULL, "The ndisbridge_session *, as int.",
        NULL },
    { NULL, NULL, NULL, NULL, NULL }
};

static PyType_Slot core_slots[] = {
    { Py_tp_new, core_new },
    { Py_tp_dealloc, core_dealloc },
    { Py_tp_methods, core_methods },
    { Py_tp_getset, core_members },
    { Py_tp_doc, "SessionCore(address, raise_status, net_luid, /)\n--\n\n"
                 "Owner of an ndisbridge_session." },
    { 0, NULL }
};

static PyType_Spec core_spec = { "ndisbridge._fastcall.SessionCore",
    sizeof(SessionCore), 0, Py_TPFLAGS_DEFAULT, core_slots };

/* ---- IndexSpace ------------------------------------------------------- */

/* The indexes of one IfType: what loops call. */
typedef struct {
    PyObject_HEAD
    SessionCore *core;
    uint16_t if_type;
} IndexSpace;

static PyObject *space_new(PyTypeObject *type, PyObject *args, PyObject *keys)
{
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    PyObject *core;
    unsigned short if_type;
    IndexSpace *self;

    (void)keys;
    if (!PyArg_ParseTuple(args, "OH:IndexSpace", &core, &if_type))
        return NULL;
    if (!is_made_by(core, core_dealloc, "core must be a SessionCore"))
        return NULL;
    self = (IndexSpace *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    Py_INCREF(core);
    self->core = (SessionCore *)core;
    self->if_type = if_type;
    return (PyObject *)self;
}

static void space_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

    Py_XDECREF(((IndexSpace *)object)->core);
    release(object);
    Py_DECREF(type);
}

static PyObject *space_allocate(PyObject *object, PyObject *unused)
{
    IndexSpace *self = (IndexSpace *)object;
    uint32_t net_luid_index;
    ndisbridge_status status = ndisbridge_try_allocate_net_luid_index(
        self->core->session, &net_luid_index, self->if_type);
    PyObject *number;

    (void)unused;
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        drop_parked();
    if (status == NDISBRIDGE_STATUS_PENDING) {
        Py_BEGIN_ALLOW_THREADS
        status = ndisbridge_allocate_net_luid_index(
            self->core->session, &net_luid_index, self->if_type);
        Py_END_ALLOW_THREADS
    }
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return fail(self->core->raise_status, status);
    number = PyLong_FromUnsignedLong(net_luid_index);
    /* Nobody would know of it. */
    if (number == NULL)
        ndisbridge_free_net_luid_index(
            self->core->session, self->if_type, net_luid_index);
    return number;
}

static PyObject *space_free(PyObject *object, PyObject *net_luid_index)
{
    IndexSpace *self = (IndexSpace *)object;
    uint32_t value;
    ndisbridge_status status;

    if (to_u32(net_luid_index, &value) != 0)
        return NULL;
    status = ndisbridge_free_net_luid_index(
        self->core->session, self->if_type, value);
    if (status != NDISBRIDGE_STATUS_SUCCESS) {
        drop_parked();
        return fail(self->core->raise_status, status);
    }
    return none();
}

/* So many indexes take some microseconds: the GIL is kept, which is 30 ns less
 * where there are few. */
#define BRIEF 4096

static PyObject *space_allocate_many(PyObject *object, PyObject *out)
{
    IndexSpace *self = (IndexSpace *)object;
    Py_buffer view;
    uint32_t count;
    ndisbridge_status status = NDISBRIDGE_STATUS_PENDING;

    if (get_indexes(out, &view, PyBUF_WRITABLE, &count) != 0)
        return NULL;
    drop_parked();
    if (count <= BRIEF)
        status = ndisbridge_try_allocate_net_luid_indexes(
            self->core->session, view.buf, count, self->if_type);
    if (status == NDISBRIDGE_STATUS_PENDING) {
        Py_BEGIN_ALLOW_THREADS
        status = ndisbridge_allocate_net_luid_indexes(
            self->core->session, view.buf, count, self->if_type);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&view);
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return fail(self->core->raise_status, status);
    return none();
}

static PyObject *space_free_many(PyObject *object, PyObject *indexes)
{
    IndexSpace *self = (IndexSpace *)object;
    Py_buffer view;
    uint32_t count, freed;
    ndisbridge_status status;
    PyObject *text = NULL;

    if (get_indexes(indexes, &view, 0, &count) != 0)
        return NULL;
    if (count <= BRIEF) {
        status = ndisbridge_free_net_luid_indexes(
            self->core->session, &freed, self->if_type, view.buf, count);
    } else {
        Py_BEGIN_ALLOW_THREADS
        status = ndisbridge_free_net_luid_indexes(
            self->core->session, &freed, self->if_type, view.buf, count);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&view);
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        return PyLong_FromUnsignedLong(freed);
    drop_parked();
    if (status == NDISBRIDGE_STATUS_INVALID_PARAMETER) {
        text = PyUnicode_FromFormat("%u of %u indexes were not allocated "
                                    "here; the others have been freed",
            count - freed, count);
        if (text == NULL)
            return NULL;
    }
    fail_because(self->core->raise_status, status, text);
    Py_XDECREF(text);
    return NULL;
}

static PyObject *space_if_type(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromLong(((IndexSpace *)self)->if_type);
}

static PyMethodDef space_methods[] = {
    { "allocate", space_allocate, METH_NOARGS,
        "allocate() -> int\n\n"
        "Allocate a NET_LUID index (NdisIfAllocateNetLuidIndex)." },
    { "free", space_free, METH_O,
        "free(net_luid_index)\n\n"
        "Free an allocated NET_LUID index (NdisIfFreeNetLuidIndex)." },
    { "allocate_many", space_allocate_many, METH_O,
        "allocate_many(out)\n\n"
        "Fill a buffer of uint32 with allocated indexes, all or none." },
    { "free_many", space_free_many, METH_O,
        "free_many(indexes) -> int\n\n"
        "Free the indexes in a buffer of uint32." },
    { NULL, NULL, 0, NULL }
};

static PyGetSetDef space_members[] = {
    { "if_type", space_if_type, NULL, "IANA ifType of the indexes.", NULL },
    { NULL, NULL, NULL, NULL, NULL }
};

static PyType_Slot space_slots[] = {
    { Py_tp_new, space_new },
    { Py_tp_dealloc, space_dealloc },
    { Py_tp_methods, space_methods },
    { Py_tp_getset, space_members },
    { Py_tp_doc, "The NET_LUID indexes of one IfType, for loops: its\n"
                 "methods are built in and make one C call each.\n\n"
                 "Made by Session.index_space().  Safe from any thread." },
    { 0, NULL }
};

static PyType_Spec space_spec = { "ndisbridge._fastcall.IndexSpace",
    sizeof(IndexSpace), 0, Py_TPFLAGS_DEFAULT, space_slots };

/* ---- Handlers: those of a provider that are written in Python ---------- */

/* An OID that is answered in Python: what its handler is called with, and
 * what becomes of an int that it returns. */
typedef struct {
    PyObject *function;  /* callable(context, oid); NULL: the slot is empty */
    PyObject *number;
    uint32_t oid;
    uint32_t int_size;
} OidHandler;

/* Nothing of it changes once it is made: no lock is needed to look into it. */
typedef struct {
    PyObject_HEAD
    PyObject *query;  /* callable(context, oid) or None */
    PyObject *set;  /* callable(context, oid, value) or None */
    PyObject *encode;  /* callable(oid, value) -> bytes */
    PyObject *decode;  /* callable(oid, bytes) -> value */
    OidHandler *slots;  /* hashed; a power of two, half of them empty */
    uint32_t mask;
} Handlers;

/* Bytes of an int as the value of an OID, or as the one member of an array;
 * 0 where an int is none. */
static uint32_t int_size(uint32_t object_id)
{
    ndisbridge_oid_description description;

    if (ndisbridge_describe_oid(&description, object_id)
        != NDISBRIDGE_STATUS_SUCCESS)
        return 0;
    return description.type == NDISBRIDGE_OID_TYPE_UNSIGNED
            || description.type == NDISBRIDGE_OID_TYPE_BOOLEAN
        ? description.size
        : 0;
}

/* More than the catalog has. */
#define MOST_OIDS 512

/* Where an OID is, or the empty slot where it would be. */
static OidHandler *handlers_slot(const Handlers *self, uint32_t oid)
{
    uint32_t at = oid * 0x9E3779B1u >> 16;

    for (;; at++) {
        OidHandler *slot = &self->slots[at & self->mask];

        if (slot->function == NULL || slot->oid == oid)
            return slot;
    }
}

static int handlers_add(Handlers *self, uint32_t oid, PyObject *function)
{
    OidHandler *slot = handlers_slot(self, oid);
    PyObject *number;

    if (slot->function != NULL)
        return 0;
    number = PyLong_FromUnsignedLong(oid);
    if (number == NULL)
        return -1;
    Py_INCREF(function);
    *slot = (OidHandler) { function, number, oid, int_size(oid) };
    return 0;
}

/* The OIDs with a handler of their own, and of the catalog all others if
 * there is one for the rest.  (An OID that is not here is answered too, after
 * an int has been made of it.) */
static int handlers_fill(Handlers *self, PyObject *oids)
{
    uint32_t catalog[MOST_OIDS], count = MOST_OIDS, size = 16;
    PyObject *key, *function;
    Py_ssize_t position = 0, own = PyDict_Size(oids);
    uint32_t oid;

    if (self->query == Py_None
        || NB_NEVER(ndisbridge_list_oids(catalog, &count)
            != NDISBRIDGE_STATUS_SUCCESS))
        count = 0;
    while (size / 2 < (size_t)own + count)
        size *= 2;
    self->slots = PyMem_Calloc(size, sizeof *self->slots);
    if (self->slots == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->mask = size - 1;
    while (PyDict_Next(oids, &position, &key, &function))
        if (to_u32(key, &oid) != 0 || handlers_add(self, oid, function) != 0)
            return -1;
    for (uint32_t i = 0; i < count; i++)
        if (handlers_add(self, catalog[i], self->query) != 0)
            return -1;
    return 0;
}

static PyObject *handlers_new(
    PyTypeObject *type, PyObject *args, PyObject *keys)
{
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    PyObject *query_, *set, *oids, *encode, *decode;
    Handlers *self;

    (void)keys;
    if (!PyArg_ParseTuple(args, "OOO!OO:Handlers", &query_, &set,
            &PyDict_Type, &oids, &encode, &decode))
        return NULL;
    self = (Handlers *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    Py_INCREF(query_), self->query = query_;
    Py_INCREF(set), self->set = set;
    Py_INCREF(encode), self->encode = encode;
    Py_INCREF(decode), self->decode = decode;
    if (handlers_fill(self, oids) != 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int handlers_traverse(PyObject *object, visitproc visit, void *arg)
{
    Handlers *self = (Handlers *)object;

    Py_VISIT(Py_TYPE(object));  /* not reached: an object without a type */
    Py_VISIT(self->query);
    Py_VISIT(self->set);
    Py_VISIT(self->encode);
    Py_VISIT(self->decode);
    for (uint32_t i = 0; self->slots != NULL && i <= self->mask; i++)
        Py_VISIT(self->slots[i].function);
    return 0;
}

static int handlers_clear(PyObject *object)
{
    Handlers *self = (Handlers *)object;
    OidHandler *slots = self->slots;

    Py_CLEAR(self->query);
    Py_CLEAR(self->set);
    Py_CLEAR(self->encode);
    Py_CLEAR(self->decode);
    self->slots = NULL;
    for (uint32_t i = 0; slots != NULL && i <= self->mask; i++) {
        Py_XDECREF(slots[i].function);
        Py_XDECREF(slots[i].number);
    }
    PyMem_Free(slots);
    return 0;
}

static void handlers_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

    PyObject_GC_UnTrack(object);
    handlers_clear(object);
    release(object);
    Py_DECREF(type);
}

static PyType_Slot handlers_slots[] = {
    { Py_tp_new, handlers_new },
    { Py_tp_dealloc, handlers_dealloc },
    { Py_tp_traverse, handlers_traverse },
    { Py_tp_clear, handlers_clear },
    { Py_tp_doc, "Handlers(query, set, oids, encode, decode)" },
    { 0, NULL }
};

static PyType_Spec handlers_spec = { "ndisbridge._fastcall.Handlers",
    sizeof(Handlers), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    handlers_slots };

/* ---- HandlerContext: the way back into Python ------------------------- */

/* What a Python provider's handlers are called with: provider_if_context of
 * its interfaces points to one. */
typedef struct {
    PyObject_HEAD
    Handlers *handlers;
    PyObject *context;  /* what the user gets; like the above, for ever */
    /* A driver in C, where nothing in Python stands above it: routed_query()
     * calls it without Python while `direct` says so. */
    ndisbridge_if_query_object native_query;
    void *native_context;
    nb_atomic_u32 direct;
} HandlerContext;

static PyObject *context_new(
    PyTypeObject *type, PyObject *args, PyObject *keys)
{
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    PyObject *handlers, *context;
    HandlerContext *self;

    (void)keys;
    if (!PyArg_ParseTuple(args, "OO:HandlerContext", &handlers, &context))
        return NULL;
    if (!is_made_by(handlers, handlers_dealloc, "handlers must be Handlers"))
        return NULL;
    self = (HandlerContext *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    Py_INCREF(handlers), self->handlers = (Handlers *)handlers;
    Py_INCREF(context), self->context = context;
    return (PyObject *)self;
}

static int context_traverse(PyObject *object, visitproc visit, void *arg)
{
    HandlerContext *self = (HandlerContext *)object;

    Py_VISIT(Py_TYPE(object));  /* not reached: an object without a type */
    Py_VISIT(self->handlers);
    Py_VISIT(self->context);
    return 0;
}

static int context_clear(PyObject *object)
{
    HandlerContext *self = (HandlerContext *)object;

    Py_CLEAR(self->handlers);
    Py_CLEAR(self->context);
    return 0;
}

static void context_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

    PyObject_GC_UnTrack(object);
    context_clear(object);
    release(object);
    Py_DECREF(type);
}

static PyObject *context_address(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromVoidPtr(self);
}

static PyObject *context_set_native(PyObject *object, PyObject *args)
{
    HandlerContext *self = (HandlerContext *)object;
    unsigned long long query_, context;

    if (!PyArg_ParseTuple(args, "KK:set_native", &query_, &context))
        return NULL;
    if (nb_load(&self->direct)) {
        PyErr_SetString(PyExc_ValueError, "it is being called");
        return NULL;
    }
    self->native_query = (ndisbridge_if_query_object)(uintptr_t)query_;
    self->native_context = (void *)(uintptr_t)context;
    return none();
}

static PyObject *context_get_direct(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong((long)nb_load(&((HandlerContext *)self)->direct));
}

static int context_set_direct(PyObject *object, PyObject *value, void *unused)
{
    HandlerContext *self = (HandlerContext *)object;
    int direct = value == NULL ? 0 : PyObject_IsTrue(value);

    (void)unused;
    if (direct < 0)
        return -1;
    /* Pairs with the acquire in routed_query(): what set_native() wrote is
     * seen by whoever sees this. */
    nb_store_release(
        &self->direct, direct && self->native_query != NULL ? 1u : 0u);
    return 0;
}

static PyMethodDef context_methods[] = {
    { "set_native", context_set_native, METH_VARARGS,
        "set_native(query, context)\n\n"
        "The function that ROUTED_QUERY calls while `direct` is true." },
    { NULL, NULL, 0, NULL }
};

static PyGetSetDef context_members[] = {
    { "address", context_address, NULL, "Value of provider_if_context.",
        NULL },
    { "direct", context_get_direct, context_set_direct,
        "Whether ROUTED_QUERY calls the native function, without Python.",
        NULL },
    { NULL, NULL, NULL, NULL, NULL }
};

static PyType_Slot context_slots[] = {
    { Py_tp_new, context_new },
    { Py_tp_dealloc, context_dealloc },
    { Py_tp_traverse, context_traverse },
    { Py_tp_clear, context_clear },
    { Py_tp_methods, context_methods },
    { Py_tp_getset, context_members },
    { Py_tp_doc, "HandlerContext(handlers, context)" },
    { 0, NULL }
};

static PyType_Spec context_spec = { "ndisbridge._fastcall.HandlerContext",
    sizeof(HandlerContext), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    context_slots };

/* Parks the current exception; its status, if it has one, or RESOURCES if it
 * could not be kept. */
static ndisbridge_status park_current(void)
{
    PyObject *exception = fetch_exception(), *name, *attribute = NULL;
    long status = NDISBRIDGE_STATUS_FAILURE;

    if (NB_NEVER(exception == NULL))
        return NDISBRIDGE_STATUS_FAILURE;
    /* Interned: Python's cache of attributes would keep each name anew. */
    name = PyUnicode_InternFromString("status");
    if (name != NULL)
        attribute = PyObject_GetAttr(exception, name);
    Py_XDECREF(name);
    if (attribute != NULL && PyLong_Check(attribute)) {
        status = PyLong_AsLong(attribute);
        if (status >= 0 || status < INT32_MIN || PyErr_Occurred())
            status = NDISBRIDGE_STATUS_FAILURE;
    }
    PyErr_Clear();
    Py_XDECREF(attribute);
    if (park(exception) != 0) {
        PyErr_Clear();
        status = NDISBRIDGE_STATUS_RESOURCES;
    }
    Py_DECREF(exception);
    return (ndisbridge_status)status;
}

static ndisbridge_status give_bytes(
    PyObject *value, uint32_t *length, void *output)
{
    char *bytes;
    Py_ssize_t size;

    if (PyBytes_AsStringAndSize(value, &bytes, &size) != 0)
        return park_current();
    if (size > UINT32_MAX)
        return NDISBRIDGE_STATUS_INVALID_DATA;
    if ((uint32_t)size > *length) {
        *length = (uint32_t)size;
        return NDISBRIDGE_STATUS_BUFFER_TOO_SHORT;
    }
    if (size > 0)
        memcpy(output, bytes, (size_t)size);
    *length = (uint32_t)size;
    return NDISBRIDGE_STATUS_SUCCESS;
}

/* An int takes the size of its OID: 1, 4 or 8 bytes. */
static ndisbridge_status give_int(
    PyObject *value, uint32_t size, uint32_t *length, void *output)
{
    unsigned long long number = as_u64(value);
    uint32_t room = *length;

    if (number == (unsigned long long)-1 && PyErr_Occurred())
        return park_current();
    if (size < 8 && number >> (8 * size) != 0) {
        PyErr_Format(PyExc_OverflowError,
            "%R does not fit the %u bytes of the OID", value, size);
        return park_current();
    }
    *length = size;
    if (size > room)
        return NDISBRIDGE_STATUS_BUFFER_TOO_SHORT;
    if (size == 1)
        *(uint8_t *)output = (uint8_t)number;
    else if (size == 4)
        memcpy(output, &(uint32_t){ (uint32_t)number }, 4);
    else
        memcpy(output, &(uint64_t){ number }, 8);
    return NDISBRIDGE_STATUS_SUCCESS;
}

static ndisbridge_status give(const Handlers *handlers, uint32_t size,
    PyObject *oid, PyObject *value, uint32_t *length, void *output)
{
    PyObject *bytes;
    ndisbridge_status status;

    if (size != 0 && PyLong_Check(value))
        return give_int(value, size, length, output);
    if (PyBytes_Check(value))
        return give_bytes(value, length, output);
    bytes = PyObject_CallFunctionObjArgs(handlers->encode, oid, value, NULL);
    if (bytes == NULL)
        return park_current();
    status = give_bytes(bytes, length, output);
    Py_DECREF(bytes);
    return status;
}

static NB_NOINLINE ndisbridge_status nobody_answers(uint32_t object_id)
{
    ndisbridge_oid_description description;
    ndisbridge_status status =
        ndisbridge_describe_oid(&description, object_id);

    return status == NDISBRIDGE_STATUS_SUCCESS
        ? NDISBRIDGE_STATUS_NOT_SUPPORTED
        : status;
}

/* A handler may deregister and drop everything but the context, which the
 * caller keeps, and so the handlers. */
static ndisbridge_status call_handler(const HandlerContext *self,
    const OidHandler *handler, uint32_t *length, void *output)
{
    PyObject *value =
        nb_call(handler->function, self->context, handler->number);
    ndisbridge_status status;

    if (value == NULL)
        return park_current();
    status = give(self->handlers, handler->int_size, handler->number, value,
        length, output);
    Py_DECREF(value);
    return status;
}

static ndisbridge_status call_query(const HandlerContext *self,
    uint32_t object_id, uint32_t *length, void *output)
{
    const Handlers *handlers = self->handlers;
    OidHandler handler = *handlers_slot(handlers, object_id);
    ndisbridge_status status;

    if (handler.function != NULL)
        return call_handler(self, &handler, length, output);
    if (handlers->query == Py_None)
        return nobody_answers(object_id);
    handler.function = handlers->query;
    handler.number = PyLong_FromUnsignedLong(object_id);
    if (handler.number == NULL)
        return park_current();
    status = call_handler(self, &handler, length, output);
    Py_DECREF(handler.number);
    return status;
}

/* Calls that a handler makes drop what is parked before they begin: what an
 * earlier handler of the same batch left is put aside meanwhile. */
static PyObject *put_aside(void)
{
    PyObject *earlier = parked;

    parked = NULL;
    return earlier;
}

/* Puts what this handler has left behind what was put aside.  Its status, or
 * RESOURCES if what it has raised could not be kept. */
static ndisbridge_status put_back(PyObject *earlier, ndisbridge_status status)
{
    PyObject *mine = parked;
    Py_ssize_t end;

    if (earlier == NULL)
        return status;
    parked = earlier;
    if (mine == NULL)
        return status;
    end = PyList_Size(earlier);
    if (PyList_SetSlice(earlier, end, end, mine) != 0) {
        PyErr_Clear();
        if (status != NDISBRIDGE_STATUS_SUCCESS)
            status = NDISBRIDGE_STATUS_RESOURCES;
    }
    Py_DECREF(mine);
    return status;
}

static ndisbridge_status python_query(void *context, uint32_t object_id,
    uint32_t *output_buffer_length, void *output_buffer)
{
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *earlier = put_aside();
    ndisbridge_status status;

    Py_INCREF((PyObject *)context);
    status = call_query(
        context, object_id, output_buffer_length, output_buffer);
    status = put_back(earlier, status);
    Py_DECREF((PyObject *)context);
    PyGILState_Release(state);
    return status;
}

/* What does not answer an OID itself may still have it in its statistics:
 * that is for Python to find out. */
static ndisbridge_status routed_query(void *context, uint32_t object_id,
    uint32_t *output_buffer_length, void *output_buffer)
{
    HandlerContext *self = context;
    uint32_t room = *output_buffer_length;
    ndisbridge_status status;

    if (nb_load_acquire(&self->direct)) {
        status = self->native_query(self->native_context, object_id,
            output_buffer_length, output_buffer);
        if (status != NDISBRIDGE_STATUS_NOT_SUPPORTED
            && status != NDISBRIDGE_STATUS_INVALID_OID)
            return status;
        *output_buffer_length = room;
    }
    return python_query(
        context, object_id, output_buffer_length, output_buffer);
}

/* Without formats that take a length: what they mean depends on the version
 * of Python that this was built with. */
static ndisbridge_status call_set(const HandlerContext *self,
    uint32_t object_id, const void *input, uint32_t length)
{
    const Handlers *handlers = self->handlers;
    PyObject *oid, *bytes, *value = NULL, *result = NULL;

    if (handlers->set == Py_None)
        return nobody_answers(object_id);
    oid = PyLong_FromUnsignedLong(object_id);
    bytes = PyBytes_FromStringAndSize(input, (Py_ssize_t)length);
    if (oid != NULL && bytes != NULL)
        value =
            PyObject_CallFunctionObjArgs(handlers->decode, oid, bytes, NULL);
    if (value != NULL)
        result = PyObject_CallFunctionObjArgs(
            handlers->set, self->context, oid, value, NULL);
    Py_XDECREF(oid);
    Py_XDECREF(bytes);
    Py_XDECREF(value);
    if (result == NULL)
        return park_current();
    Py_DECREF(result);
    return NDISBRIDGE_STATUS_SUCCESS;
}

static ndisbridge_status python_set(void *context, uint32_t object_id,
    uint32_t input_buffer_length, const void *input_buffer)
{
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *earlier = put_aside();
    ndisbridge_status status;

    Py_INCREF((PyObject *)context);
    status =
        call_set(context, object_id, input_buffer, input_buffer_length);
    status = put_back(earlier, status);
    Py_DECREF((PyObject *)context);
    PyGILState_Release(state);
    return status;
}

/* What a provider without any query handler registers for one OID: the core
 * wants one handler at least. */
static ndisbridge_status not_supported_query(void *context,
    uint32_t object_id, uint32_t *output_buffer_length, void *output_buffer)
{
    (void)context, (void)object_id, (void)output_buffer_length;
    (void)output_buffer;
    return NDISBRIDGE_STATUS_NOT_SUPPORTED;
}

/* ---- module ----------------------------------------------------------- */

static PyMethodDef module_methods[] = {
    { "is_indexes", module_is_indexes, METH_O,
        "is_indexes(object) -> bool\n\n"
        "Whether it is a buffer, of uint32; any other is a TypeError." },
    { "park", module_park, METH_O,
        "park(exception)\n\nLeave an exception for the caller of C." },
    { "reraise", module_reraise, METH_O,
        "reraise(exception)\n\n"
        "Raise an exception as it is, with the __context__ that it has." },
    { "write_unraisable",
        (PyCFunction)(void (*)(void))module_write_unraisable, METH_FASTCALL,
        "write_unraisable(exception, object)\n\n"
        "Hand an exception that is nobody's to sys.unraisablehook." },
    { "take_parked", module_take_parked, METH_NOARGS,
        "take_parked() -> list\n\n"
        "Take the exceptions that Python code called from C has left." },
    { NULL, NULL, 0, NULL }
};

static int add_type(PyObject *module, const char *name, PyType_Spec *spec)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    int failed;

    if (type == NULL)
        return -1;
    failed = PyModule_AddObjectRef(module, name, type);
    Py_DECREF(type);
    return failed;
}

static int add_address(PyObject *module, const char *name, uintptr_t address)
{
    PyObject *number = PyLong_FromVoidPtr((void *)address);
    int failed;

    if (number == NULL)
        return -1;
    failed = PyModule_AddObjectRef(module, name, number);
    Py_DECREF(number);
    return failed;
}

static int module_exec(PyObject *module)
{
    if (add_type(module, "SessionCore", &core_spec) != 0
        || add_type(module, "IndexSpace", &space_spec) != 0
        || add_type(module, "Handlers", &handlers_spec) != 0
        || add_type(module, "HandlerContext", &context_spec) != 0
        || add_address(module, "QUERY_TRAMPOLINE", (uintptr_t)python_query)
            != 0
        || add_address(module, "SET_TRAMPOLINE", (uintptr_t)python_set) != 0
        || add_address(module, "ROUTED_QUERY", (uintptr_t)routed_query) != 0
        || add_address(module, "NOT_SUPPORTED_QUERY",
               (uintptr_t)not_supported_query)
            != 0)
        return -1;
    return 0;
}

static PyModuleDef_Slot module_slots[] = {
    { Py_mod_exec, (void *)(uintptr_t)module_exec },
#ifdef Py_mod_gil
    { Py_mod_gil, Py_MOD_GIL_NOT_USED },
#endif
    { 0, NULL }
};

static PyModuleDef definition = { PyModuleDef_HEAD_INIT, "_fastcall",
    "Calls into the core that keep the GIL, and calls back into Python.", 0,
    module_methods, module_slots, NULL, NULL, NULL };

PyMODINIT_FUNC PyInit__fastcall(void)
{
    return PyModuleDef_Init(&definition);
}
