/* SPDX-License-Identifier: MIT
 *
 * fuzz_names.c - names of NET_LUIDs, both ways, and UTF-8 and UTF-16: the
 * input is a name, a NET_LUID, UTF-8 and UTF-16 at once.
 */
#include "fuzz.h"
#include "linux_settings.h"

static bool same_but_for_case(const char *one, const char *other)
{
    for (; *one != 0 && (*one | 0x20) == (*other | 0x20); one++)
        other++;
    return *one == *other;
}

/* Writes a name into exactly its room, and into any less not at all. */
static void write_name(char *name, ndisbridge_net_luid net_luid)
{
    uint32_t needed = 0;

    ENSURE_STATUS(ndisbridge_net_luid_to_name(NULL, &needed, net_luid),
        BUFFER_TOO_SHORT);
    ENSURE(needed > 1 && needed <= NDISBRIDGE_NET_LUID_NAME_SIZE);
    for (uint32_t room = needed - 1; room <= needed; room++) {
        char *exact = malloc(room);
        uint32_t size = room;
        ndisbridge_status status;

        ENSURE(exact != NULL);
        status = ndisbridge_net_luid_to_name(exact, &size, net_luid);
        ENSURE(size == needed);
        ENSURE(status
            == (room < needed ? NDISBRIDGE_STATUS_BUFFER_TOO_SHORT
                              : NDISBRIDGE_STATUS_SUCCESS));
        if (room == needed) {
            ENSURE(strlen(exact) + 1 == needed);
            memcpy(name, exact, needed);
        }
        free(exact);
    }
}

static void read_a_name(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), name[NDISBRIDGE_NET_LUID_NAME_SIZE];
    ndisbridge_net_luid net_luid = 1, again;
    ndisbridge_status status;

    ENSURE(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = 0;
    status = ndisbridge_net_luid_from_name(&net_luid, text);
    if (status == NDISBRIDGE_STATUS_SUCCESS) {
        write_name(name, net_luid);
        ENSURE(same_but_for_case(name, text)
            || same_but_for_case(strchr(name, '_'), strchr(text, '_')));
        ENSURE_STATUS(ndisbridge_net_luid_from_name(&again, name), SUCCESS);
        ENSURE(again == net_luid);
    } else {
        ENSURE(status == NDISBRIDGE_STATUS_INVALID_PARAMETER);
        ENSURE(net_luid == 0);
    }
    free(text);
}

static void read_a_net_luid(ndisbridge_net_luid net_luid)
{
    char name[NDISBRIDGE_NET_LUID_NAME_SIZE];
    uint32_t none = 0;
    ndisbridge_net_luid again;

    if (net_luid >> 48 == 0 || (net_luid & 0xFFFFFF) != 0) {
        ENSURE_STATUS(ndisbridge_net_luid_to_name(NULL, &none, net_luid),
            INVALID_PARAMETER);
        return;
    }
    write_name(name, net_luid);
    ENSURE_STATUS(ndisbridge_net_luid_from_name(&again, name), SUCCESS);
    ENSURE(again == net_luid);
    ENSURE_STATUS(
        ndisbridge_make_net_luid(&again, ndisbridge_net_luid_if_type(net_luid),
            ndisbridge_net_luid_index(net_luid)),
        SUCCESS);
    ENSURE(again == net_luid);
}

/* What UTF-8 becomes is UTF-16, and what becomes of that is the same again. */
static void read_text(const uint8_t *data, size_t size)
{
    uint8_t *copy = fuzz_copy(data, size);
    ndisbridge_if_counted_string string, again;
    uint8_t utf8[4 * NDISBRIDGE_MAX_STRING_SIZE];
    size_t count, length;
    uint16_t *units;

    memset(&string, 0, sizeof string);
    memset(&again, 0, sizeof again);
    nb_utf8_to_counted_string(&string, copy, size);
    count = string.length / 2;
    ENSURE(string.length % 2 == 0 && count <= NDISBRIDGE_MAX_STRING_SIZE);
    length = nb_utf16_to_utf8(utf8, string.string, count);
    if (length != SIZE_MAX) {
        ENSURE(length <= 3 * count);
        nb_utf8_to_counted_string(&again, utf8, length);
        ENSURE(memcmp(&string, &again, sizeof string) == 0);
    } else
        ENSURE(memchr(copy, 0, size) != NULL);
    free(copy);

    count = size / 2 < NDISBRIDGE_MAX_STRING_SIZE
        ? size / 2 : NDISBRIDGE_MAX_STRING_SIZE;
    units = fuzz_copy(data, 2 * count);
    length = nb_utf16_to_utf8(utf8, units, count);
    if (length != SIZE_MAX) {
        memset(&again, 0, sizeof again);
        nb_utf8_to_counted_string(&again, utf8, length);
        ENSURE(again.length == 2 * count);
        ENSURE(memcmp(again.string, units, 2 * count) == 0);
    }
    free(units);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = { data, size };
    ndisbridge_net_luid net_luid;

    fuzz_take(&input, &net_luid, sizeof net_luid);
    read_a_name(data, size);
    read_a_net_luid(net_luid);
    read_a_net_luid(net_luid & ~(uint64_t)0xFFFFFF);
    read_text(data, size);
    return 0;
}
