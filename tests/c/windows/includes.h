/* SPDX-License-Identifier: MIT
 *
 * includes.h - what the headers of Windows have of interfaces and statuses.
 */
#define _WIN32_WINNT 0x0A00
#define WIN32_NO_STATUS
#include <winsock2.h>
#include <ws2ipdef.h>
#include <iphlpapi.h>
#include <netioapi.h>
#include <ipifcons.h>
#include <ntddndis.h>
#undef WIN32_NO_STATUS
#include <ntstatus.h>
#include <winternl.h>
