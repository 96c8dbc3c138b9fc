# SPDX-License-Identifier: MIT
"""The program of embed.c, through ctypes alone."""

import ctypes

from ndisbridge import ctypes_api as api

lib = api.load()


def check(status: int) -> None:
    if status != api.NDISBRIDGE_STATUS_SUCCESS:
        raise SystemExit(lib.ndisbridge_status_string(status).decode())


@api.ndisbridge_if_query_object
def query_object(context, oid, length, output):
    if oid != api.NDISBRIDGE_OID_GEN_BYTES_RCV:
        return api.NDISBRIDGE_STATUS_NOT_SUPPORTED
    ctypes.memmove(output, context, 8)
    length[0] = 8
    return api.NDISBRIDGE_STATUS_SUCCESS


received = ctypes.c_uint64(12345)
session = ctypes.c_void_p()
provider = ctypes.c_uint64()
net_luid = ctypes.c_uint64()
net_luid_index = ctypes.c_uint32()
if_index = ctypes.c_uint32(0)
answer = ctypes.c_uint64()
length = ctypes.c_uint32(8)
name = ctypes.create_string_buffer(api.NDISBRIDGE_NET_LUID_NAME_SIZE)
size = ctypes.c_uint32(len(name))

characteristics = api.new("ndisbridge_if_provider_characteristics")
characteristics.query_object_handler = query_object
information = api.new("ndisbridge_net_if_information")
information.access_type = api.NDISBRIDGE_NET_IF_ACCESS_BROADCAST
information.connection_type = api.NDISBRIDGE_NET_IF_CONNECTION_DEDICATED
information.interface_guid.data1 = 0x6E646973
ethernet = api.NDISBRIDGE_IF_TYPE_ETHERNET_CSMACD

check(lib.ndisbridge_session_create(ctypes.byref(session), None))
check(
    lib.ndisbridge_register_provider(
        session, provider, characteristics, 0, None, 0
    )
)
check(
    lib.ndisbridge_allocate_net_luid_index(session, net_luid_index, ethernet)
)
check(lib.ndisbridge_make_net_luid(net_luid, ethernet, net_luid_index.value))
check(
    lib.ndisbridge_register_interface(
        session,
        if_index,
        provider,
        net_luid,
        information,
        ctypes.sizeof(information),
        ctypes.cast(ctypes.pointer(received), ctypes.c_void_p),
    )
)
check(
    lib.ndisbridge_query(
        session,
        ctypes.byref(answer),
        length,
        net_luid,
        api.NDISBRIDGE_OID_GEN_BYTES_RCV,
    )
)
check(lib.ndisbridge_net_luid_to_name(name, size, net_luid))
print(
    f"{name.value.decode()}, ifIndex {if_index.value}: "
    f"{answer.value} octets received"
)
check(lib.ndisbridge_session_destroy(session))
