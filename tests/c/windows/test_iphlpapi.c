/* SPDX-License-Identifier: MIT
 *
 * test_iphlpapi.c - on Windows, or Wine: our layouts, values, names and
 * errors beside those of its headers and of its iphlpapi.
 *
 * names.h is made of both headers by tests/windows_names.py.  Where Wine and
 * we differ, both are checked and the reason is given: Wine is no
 * specification, but what it is taken for here must be what it does.
 */
#include "includes.h"
#include "names.h"

#include <stdio.h>
#include <string.h>

#include "check.h"
#include "ndisbridge.h"

enum { ETHERNET = 6 };

/* ---- layouts and values ------------------------------------------------ */

static uint32_t compared;

static void test_layouts(void)
{
#define SIZE(ours, theirs) \
    CHECK_EQUAL(sizeof(ours), sizeof(theirs)); \
    compared++;
#define OFFSET(ours, member, theirs, other) \
    CHECK_EQUAL(offsetof(ours, member), offsetof(theirs, other)); \
    CHECK_EQUAL(sizeof(((ours *)NULL)->member), \
        sizeof(((theirs *)NULL)->other)); \
    compared++;
    compared = 0;
    SAME_SIZES(SIZE)
    SAME_OFFSETS(OFFSET)
    printf("%u structures and members have one layout\n", compared);
    CHECK(compared >= 110);
    /* Without its last, undeclared padding it is the NDIS_STATISTICS_INFO
     * that callers ask for. */
    CHECK_EQUAL(NDIS_SIZEOF_STATISTICS_INFO_REVISION_1,
        sizeof(ndisbridge_statistics_info));
}

static void test_values(void)
{
#define VALUE(ours, theirs) \
    CHECK_EQUAL(ours, theirs); \
    compared++;
    compared = 0;
    SAME_VALUES(VALUE)
    printf("%u constants have one value\n", compared);
    CHECK(compared >= 350);
    CHECK_EQUAL(NDISBRIDGE_OBJECT_TYPE_DEFAULT, NDIS_OBJECT_TYPE_DEFAULT);
    CHECK_EQUAL(NDISBRIDGE_MAX_PHYS_ADDRESS_LENGTH,
        IF_MAX_PHYS_ADDRESS_LENGTH);
    CHECK_EQUAL(NDISBRIDGE_MAX_STRING_SIZE, IF_MAX_STRING_SIZE);
}

/* ---- statuses ---------------------------------------------------------- */

/* What a Windows program sees of a status: its Win32 error. */
static void test_statuses(void)
{
    static const struct {
        ndisbridge_status ours;
        int32_t theirs;
        ULONG error;
    } same[] = {
#define NDIS(name, error) \
    { NDISBRIDGE_STATUS_##name, NDIS_STATUS_##name, error }
#define NT(name, theirs, error) { NDISBRIDGE_STATUS_##name, theirs, error }
        NDIS(SUCCESS, ERROR_SUCCESS),
        NDIS(PENDING, ERROR_IO_PENDING),
        NDIS(FAILURE, ERROR_GEN_FAILURE),
        NDIS(RESOURCES, ERROR_NO_SYSTEM_RESOURCES),
        NDIS(NOT_SUPPORTED, ERROR_NOT_SUPPORTED),
        NT(INVALID_PARAMETER, STATUS_INVALID_PARAMETER,
            ERROR_INVALID_PARAMETER),
        NT(INVALID_STATE, STATUS_INVALID_DEVICE_STATE, ERROR_BAD_COMMAND),
        NT(ACCESS_DENIED, STATUS_ACCESS_DENIED, ERROR_ACCESS_DENIED),
        NT(DUPLICATE_OBJECTID, STATUS_DUPLICATE_OBJECTID,
            ERROR_OBJECT_ALREADY_EXISTS),
        /* Of these facilities NDIS's own: 0xC001's code is the error, and
         * 0xC023's has none. */
        NDIS(INVALID_LENGTH, 0x14),
        NDIS(INVALID_DATA, 0x15),
        NDIS(BUFFER_TOO_SHORT, 0x16),
        NDIS(INVALID_OID, 0x17),
        NT(INTERFACE_NOT_FOUND, STATUS_NDIS_INTERFACE_NOT_FOUND,
            ERROR_MR_MID_NOT_FOUND),
    };
    /* The customer's are nobody's: they come through as they are. */
    static const ndisbridge_status own[] = { NDISBRIDGE_STATUS_STACK_LOOP,
        NDISBRIDGE_STATUS_PROVIDER_HAS_INTERFACES,
        NDISBRIDGE_STATUS_IN_OWN_HANDLER, NDISBRIDGE_STATUS_TIMEOUT,
        NDISBRIDGE_STATUS_IN_USE, NDISBRIDGE_STATUS_LEASE_LOST,
        NDISBRIDGE_STATUS_FORKED };

    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        CHECK_EQUAL(same[i].ours, same[i].theirs);
        CHECK_EQUAL(RtlNtStatusToDosError(same[i].ours), same[i].error);
    }
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        CHECK_EQUAL(RtlNtStatusToDosError(own[i]), (ULONG)own[i]);
}

/* ---- NET_LUIDs --------------------------------------------------------- */

static void test_bits(uint64_t seed)
{
    for (uint32_t round = 0; round < 100000; round++) {
        const uint64_t bits = check_mix(&seed);
        const uint32_t if_type = 1 + check_below(&seed, 0xFFFF);
        const uint32_t index = check_below(&seed, 0x1000000);
        NET_LUID theirs = { .Value = bits }, made = { 0 };
        ndisbridge_net_luid ours = 0;

        CHECK_EQUAL(ndisbridge_net_luid_if_type(bits), theirs.Info.IfType);
        CHECK_EQUAL(
            ndisbridge_net_luid_index(bits), theirs.Info.NetLuidIndex);
        NDIS_MAKE_NET_LUID(&made, if_type, index);
        CHECK_STATUS(
            ndisbridge_make_net_luid(&ours, if_type, index), SUCCESS);
        CHECK_EQUAL(ours, made.Value);
    }
    CHECK_EQUAL(sizeof(ndisbridge_net_luid), sizeof(NET_LUID));
}

/* Their name of a NET_LUID is ours, and each reads what the other wrote. */
static void compare_names(uint32_t if_type, uint32_t index)
{
    char ours[64] = "", theirs[64] = "";
    WCHAR wide[64];
    uint32_t size = sizeof ours;
    ndisbridge_net_luid made, back = 0;
    NET_LUID luid, found = { 0 };

    CHECK_STATUS(ndisbridge_make_net_luid(&made, if_type, index), SUCCESS);
    luid.Value = made;
    CHECK_STATUS(ndisbridge_net_luid_to_name(ours, &size, made), SUCCESS);
    CHECK_EQUAL(ConvertInterfaceLuidToNameA(&luid, theirs, sizeof theirs),
        NO_ERROR);
    if (!CHECK(strcmp(ours, theirs) == 0))
        fprintf(stderr, "    ours is %s, theirs %s\n", ours, theirs);
    CHECK_EQUAL(ConvertInterfaceLuidToNameW(&luid, wide, 64), NO_ERROR);
    for (size_t i = 0; i <= strlen(ours); i++)
        CHECK_EQUAL(wide[i], ours[i]);
    CHECK_EQUAL(ConvertInterfaceNameToLuidA(ours, &found), NO_ERROR);
    CHECK_EQUAL(found.Value, made);
    CHECK_EQUAL(ConvertInterfaceNameToLuidW(wide, &found), NO_ERROR);
    CHECK_EQUAL(found.Value, made);
    CHECK_STATUS(ndisbridge_net_luid_from_name(&back, theirs), SUCCESS);
    CHECK_EQUAL(back, made);
}

static void test_names(uint64_t seed)
{
    static const uint32_t indexes[] = { 0, 1, 9, 10, 32768, 0xFFFFFE,
        0xFFFFFF };

    for (uint32_t if_type = 1; if_type <= 0xFFFF; if_type++)
        compare_names(if_type, check_below(&seed, 0x1000000));
    for (uint32_t if_type = 1; if_type < 300; if_type++)
        for (size_t i = 0; i < sizeof indexes / sizeof *indexes; i++)
            compare_names(if_type, indexes[i]);
}

/* Names that nobody writes: what each makes of them. */
static void test_odd_names(void)
{
    static const struct {
        const char *name;
        uint64_t ours;  /* 0: refused, with INVALID_PARAMETER */
        DWORD error;
        uint64_t theirs;
    } names[] = {
        { "bogus_9", 0, ERROR_INVALID_NAME, 0 },
        { "ethernet", 0, ERROR_INVALID_NAME, 0 },
        { "_1", 0, ERROR_INVALID_NAME, 0 },
        { "", 0, ERROR_INVALID_NAME, 0 },
        { "iftype_1", 0, ERROR_INVALID_NAME, 0 },
        /* A type with a name of its own, by its number. */
        { "iftype6_9", UINT64_C(0x0006000009000000), NO_ERROR,
            UINT64_C(0x0006000009000000) },
        /* The index does not fit: Wine cuts it off, so that the name is that
         * of another interface. */
        { "ethernet_16777216", 0, NO_ERROR, UINT64_C(0x0006000000000000) },
        { "ethernet_-1", 0, NO_ERROR, UINT64_C(0x0006FFFFFF000000) },
        /* Nor does the type; 0 is no type that a NET_LUID can have. */
        { "iftype65536_1", 0, NO_ERROR, UINT64_C(0x0000000001000000) },
        { "iftype0_1", 0, NO_ERROR, UINT64_C(0x0000000001000000) },
        /* Wine reads as far as digits go; here a NET_LUID has one name. */
        { "ethernet_", 0, NO_ERROR, UINT64_C(0x0006000000000000) },
        { "ethernet_01", 0, NO_ERROR, UINT64_C(0x0006000001000000) },
        { "ethernet_+1", 0, NO_ERROR, UINT64_C(0x0006000001000000) },
        { "ethernet_1x", 0, NO_ERROR, UINT64_C(0x0006000001000000) },
        /* PowerShell and logs write them so. */
        { "Ethernet_1", UINT64_C(0x0006000001000000), ERROR_INVALID_NAME,
            0 },
        { "IFTYPE53_9", UINT64_C(0x0035000009000000), ERROR_INVALID_NAME,
            0 },
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ndisbridge_net_luid ours = 7;
        NET_LUID theirs = { .Value = 7 };
        ndisbridge_status status =
            ndisbridge_net_luid_from_name(&ours, names[i].name);

        CHECK_EQUAL(status,
            names[i].ours != 0 ? NDISBRIDGE_STATUS_SUCCESS
                               : NDISBRIDGE_STATUS_INVALID_PARAMETER);
        CHECK_EQUAL(ours, names[i].ours);
        CHECK_EQUAL(ConvertInterfaceNameToLuidA(names[i].name, &theirs),
            names[i].error);
        if (!CHECK(theirs.Value == names[i].theirs))
            fprintf(stderr, "    of %s\n", names[i].name);
    }
}

/* ---- errors ------------------------------------------------------------ */

static void test_errors(void)
{
    ndisbridge_session *session = NULL;
    ndisbridge_net_luid ours = 7, unknown = 0;
    NET_LUID theirs = { .Value = 7 };
    NET_IFINDEX their_index = 7;
    uint32_t our_index = 7, size;
    char name[NDISBRIDGE_NET_LUID_NAME_SIZE];

    CHECK_STATUS(ndisbridge_session_create(&session, NULL), SUCCESS);
    CHECK_STATUS(
        ndisbridge_make_net_luid(&unknown, ETHERNET, 0xFFFFFF), SUCCESS);
    /* Nobody has that ifIndex, or that NET_LUID: the unspecified value. */
    CHECK_STATUS(ndisbridge_get_net_luid_from_interface_index(
                     session, &ours, 0x7FFFFFFE),
        INTERFACE_NOT_FOUND);
    CHECK_EQUAL(ConvertInterfaceIndexToLuid(0x7FFFFFFE, &theirs),
        ERROR_FILE_NOT_FOUND);
    CHECK_EQUAL(ours, NDISBRIDGE_NET_LUID_UNSPECIFIED);
    CHECK_EQUAL(theirs.Value, NDISBRIDGE_NET_LUID_UNSPECIFIED);
    CHECK_STATUS(ndisbridge_get_interface_index_from_net_luid(
                     session, &our_index, unknown),
        INTERFACE_NOT_FOUND);
    theirs.Value = 0;
    CHECK_EQUAL(ConvertInterfaceLuidToIndex(&theirs, &their_index),
        ERROR_FILE_NOT_FOUND);
    CHECK_EQUAL(our_index, NDISBRIDGE_IF_INDEX_UNSPECIFIED);
    CHECK_EQUAL(their_index, NDISBRIDGE_IF_INDEX_UNSPECIFIED);
    /* Wine takes the index of a NET_LUID for an ifIndex and does not look
     * whether it is one; a NET_LUID that nobody has leads nowhere here. */
    theirs.Value = unknown;
    CHECK_EQUAL(
        ConvertInterfaceLuidToIndex(&theirs, &their_index),
        ERROR_FILE_NOT_FOUND);
    /* No room, or no place at all. */
    size = 17;
    CHECK_STATUS(
        ndisbridge_net_luid_to_name(name, &size, unknown), BUFFER_TOO_SHORT);
    CHECK_EQUAL(size, 18);
    theirs.Value = unknown;
    /* Documented is ERROR_NOT_ENOUGH_MEMORY, which Wine does not say. */
    CHECK_EQUAL(ConvertInterfaceLuidToNameA(&theirs, name, 17),
        ERROR_INSUFFICIENT_BUFFER);
    CHECK_STATUS(
        ndisbridge_net_luid_to_name(name, &size, unknown), SUCCESS);
    CHECK_EQUAL(ConvertInterfaceLuidToNameA(&theirs, name, 18), NO_ERROR);
    CHECK_STATUS(ndisbridge_net_luid_to_name(name, NULL, unknown),
        INVALID_PARAMETER);
    CHECK_EQUAL(ConvertInterfaceLuidToNameA(NULL, name, 18),
        ERROR_INVALID_PARAMETER);
    CHECK_STATUS(
        ndisbridge_net_luid_from_name(NULL, name), INVALID_PARAMETER);
    CHECK_EQUAL(ConvertInterfaceNameToLuidA(name, NULL),
        ERROR_INVALID_PARAMETER);
    CHECK_STATUS(
        ndisbridge_get_net_luid_from_interface_index(session, NULL, 1),
        INVALID_PARAMETER);
    CHECK_EQUAL(
        ConvertInterfaceIndexToLuid(1, NULL), ERROR_INVALID_PARAMETER);
    CHECK_STATUS(ndisbridge_session_destroy(session), SUCCESS);
}

/* ---- its interfaces ---------------------------------------------------- */

/* Every interface of the host registers here under its own NET_LUID and
 * ifIndex, and reads the same by both. */
static void test_interfaces(void)
{
    MIB_IF_TABLE2 *table = NULL;

    CHECK_EQUAL(GetIfTable2(&table), NO_ERROR);
    REQUIRE(table != NULL);
    for (ULONG i = 0; i < table->NumEntries; i++) {
        const MIB_IF_ROW2 *row = &table->Table[i];
        const uint64_t value = row->InterfaceLuid.Value;
        const ndisbridge_mib_if_row2 *ours = (const void *)row;
        NET_IFINDEX index = 0;

        CHECK_EQUAL(ndisbridge_net_luid_if_type(value), row->Type);
        CHECK_EQUAL(ours->interface_luid, value);
        CHECK_EQUAL(ours->type, row->Type);
        CHECK_EQUAL(ours->mtu, row->Mtu);
        CHECK_EQUAL(ours->out_qlen, row->OutQLen);
        CHECK_EQUAL(
            ConvertInterfaceLuidToIndex(&row->InterfaceLuid, &index),
            NO_ERROR);
        CHECK_EQUAL(ours->interface_index, index);
        compare_names(row->Type, ndisbridge_net_luid_index(value));
    }
    printf("%lu interfaces of the host\n", (unsigned long)table->NumEntries);
    FreeMibTable(table);
}

int main(void)
{
    uint64_t seed = check_begin("test_iphlpapi");

    test_layouts();
    test_values();
    test_statuses();
    test_bits(seed);
    test_names(seed);
    test_odd_names();
    test_errors();
    test_interfaces();
    return check_end();
}
