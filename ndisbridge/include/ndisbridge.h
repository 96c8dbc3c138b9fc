/* SPDX-License-Identifier: MIT
 *
 * ndisbridge.h - NET_LUIDs, interface providers and OID requests, as NDIS
 * has them, for any program.
 *
 * This header is the only contract of libndisbridge.so: what it does not
 * declare is not there.  It is C99 and C++11 clean, needs <stdint.h> and
 * <stddef.h>, and is also what the Python package slices its cffi and ctypes
 * declarations from (the part between the two cffi markers; that part keeps
 * to what cffi parses: integer enumerators, integer defines, plain structs).
 *
 * Conventions
 *   - Arguments: handle, outputs, in/outs, inputs; a length follows its
 *     array, a context its function pointer.
 *   - Every function that can fail returns an ndisbridge_status: 0 is
 *     success, negative is failure.  Outputs are written on success only,
 *     except where an entry says otherwise.
 *   - Nothing here is global.  All state hangs off one ndisbridge_session;
 *     sessions do not know each other.
 *   - Threads: "any thread" may run beside every other call on the same
 *     session; "exclusive" must not run beside any other call on it.
 *   - A structure that the caller fills and the library reads starts with an
 *     ndisbridge_object_header; an unknown revision is NOT_SUPPORTED.
 *   - Inside a persistence hook every call on the same session answers
 *     INVALID_STATE; after fork() every call in the child answers FORKED
 *     (only ndisbridge_session_destroy() works there).
 *
 * Synchronization ("-": none needed, "x": the caller orders them)
 *
 *                    allocate  register  deregister  query   close  destroy
 *                    free,...            remove      publish
 *   allocate, free      -         -          -          -      -       x
 *   register            -         -          -          -      -       x
 *   deregister          -         -          -          - (1)  -       x
 *   query, publish      -         -          - (1)      -      -       x
 *   subscribe,          -         -          -          -      -       x
 *   next_events
 *   close               -         -          -          -      -       x
 *   (1) deregister returns once the handlers that run for that interface
 *       have returned, or with TIMEOUT.
 */
#ifndef NDISBRIDGE_H
#define NDISBRIDGE_H

#include <stddef.h>
#include <stdint.h>

/** Version of this header; ndisbridge_version() gives the library's. */
#define NDISBRIDGE_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(NDISBRIDGE_BUILD) && defined(__GNUC__) && !defined(_WIN32)
#pragma GCC visibility push(default)
#endif

/* cffi: begin */

/** Result of a call.  Values are NDIS_STATUS values read as int32_t; those
 *  without an NDIS counterpart set NTSTATUS's customer bit (0xE04E....).
 *  Compare with == NDISBRIDGE_STATUS_SUCCESS. */
typedef int32_t ndisbridge_status;

enum ndisbridge_status_code {
    /** Done. */
    NDISBRIDGE_STATUS_SUCCESS = 0,
    /** Not over: a try_ form would have to wait or to call something that
     *  may; a deregistration is completed by a running handler
     *  (0x00000103). */
    NDISBRIDGE_STATUS_PENDING = 259,
    /** An unspecified failure, such as an exception in a Python handler
     *  (0xC0000001). */
    NDISBRIDGE_STATUS_FAILURE = -1073741823,
    /** An argument is invalid (0xC000000D). */
    NDISBRIDGE_STATUS_INVALID_PARAMETER = -1073741811,
    /** No memory, or nothing is left to hand out (0xC000009A). */
    NDISBRIDGE_STATUS_RESOURCES = -1073741670,
    /** Unknown structure revision, or nobody answers this OID
     *  (0xC00000BB). */
    NDISBRIDGE_STATUS_NOT_SUPPORTED = -1073741637,
    /** The session is closed, or the call came from a hook
     *  (0xC0000184). */
    NDISBRIDGE_STATUS_INVALID_STATE = -1073741436,
    /** The system does not let this process do it, such as the kernel a
     *  setting of a link (0xC0000022). */
    NDISBRIDGE_STATUS_ACCESS_DENIED = -1073741790,
    /** The NET_LUID is registered already (0xC000022A). */
    NDISBRIDGE_STATUS_DUPLICATE_OBJECTID = -1073741270,
    /** A buffer length that the OID does not allow (0xC0010014). */
    NDISBRIDGE_STATUS_INVALID_LENGTH = -1073676268,
    /** A handler's answer breaks the rules of its OID (0xC0010015). */
    NDISBRIDGE_STATUS_INVALID_DATA = -1073676267,
    /** The buffer is too small; the needed length is reported
     *  (0xC0010016). */
    NDISBRIDGE_STATUS_BUFFER_TOO_SHORT = -1073676266,
    /** No such OID (0xC0010017). */
    NDISBRIDGE_STATUS_INVALID_OID = -1073676265,
    /** No registered interface has that NET_LUID or ifIndex
     *  (0xC023002B). */
    NDISBRIDGE_STATUS_INTERFACE_NOT_FOUND = -1071448021,
    /** The row would close a loop in the interface stack (0xE04E0001);
     *  bug check 0x7C/0x1B on Windows. */
    NDISBRIDGE_STATUS_STACK_LOOP = -531759103,
    /** The provider still has interfaces (0xE04E0002); bug check 0x7C/0x17
     *  on Windows. */
    NDISBRIDGE_STATUS_PROVIDER_HAS_INTERFACES = -531759102,
    /** The call would wait for the handler that makes it (0xE04E0003). */
    NDISBRIDGE_STATUS_IN_OWN_HANDLER = -531759101,
    /** The deadline passed first (0xE04E0004). */
    NDISBRIDGE_STATUS_TIMEOUT = -531759100,
    /** Taken: by somebody here, or by another session of the store
     *  (0xE04E0005). */
    NDISBRIDGE_STATUS_IN_USE = -531759099,
    /** The store has given this session's leases to another
     *  (0xE04E0006). */
    NDISBRIDGE_STATUS_LEASE_LOST = -531759098,
    /** The session belongs to the process that fork()ed this one
     *  (0xE04E0007). */
    NDISBRIDGE_STATUS_FORKED = -531759097
};

/** Greatest NET_LUID index: the space of one IfType is 0 .. 0xFFFFFF. */
#define NDISBRIDGE_NET_LUID_INDEX_MAX 0xFFFFFF
/** Greatest ifIndex (RFC 2863: 1 .. 2147483647). */
#define NDISBRIDGE_IF_INDEX_MAX 0x7FFFFFFF
/** No interface (NET_IFINDEX_UNSPECIFIED). */
#define NDISBRIDGE_IF_INDEX_UNSPECIFIED 0
/** No NET_LUID (NET_IFLUID_UNSPECIFIED). */
#define NDISBRIDGE_NET_LUID_UNSPECIFIED 0
/** First ifIndex that a store of a Linux host hands out: lower numbers are
 *  the kernel's. */
#define NDISBRIDGE_IF_INDEX_FIRST_LINUX 0x800000
/** NET_LUID indexes of one block, the unit of a lease. */
#define NDISBRIDGE_BLOCK_SIZE 4096
/** Blocks of the space of one IfType. */
#define NDISBRIDGE_BLOCK_COUNT 4096
/** Longest physical address, in bytes (IF_MAX_PHYS_ADDRESS_LENGTH). */
#define NDISBRIDGE_MAX_PHYS_ADDRESS_LENGTH 32
/** Longest alias or description, in UTF-16 units (IF_MAX_STRING_SIZE). */
#define NDISBRIDGE_MAX_STRING_SIZE 256
/** Room for the longest name of a NET_LUID with its NUL, in bytes. */
#define NDISBRIDGE_NET_LUID_NAME_SIZE 24
/** As a timeout: the session's own (wait_timeout_ms of its config). */
#define NDISBRIDGE_TIMEOUT_DEFAULT 0xFFFFFFFF
/** Unknown link speed, in bit/s (NET_IF_LINK_SPEED_UNKNOWN). */
#define NDISBRIDGE_LINK_SPEED_UNKNOWN 0xFFFFFFFFFFFFFFFF
/** object_header.type of every structure here. */
#define NDISBRIDGE_OBJECT_TYPE_DEFAULT 0x80
/** object_header.revision of every structure here. */
#define NDISBRIDGE_OBJECT_REVISION_1 1

/* generated: begin constants */
/* ------------------------------------------------------------------------
 * Constants of NDIS, written by csrc/generate_catalog.py.
 */

/** IANA ifTypes, by their IF_TYPE_ names where NDIS has one.  Any other
 *  number of 1 .. 65535 is as good. */
enum ndisbridge_if_type {
    NDISBRIDGE_IF_TYPE_OTHER = 1,
    NDISBRIDGE_IF_TYPE_REGULAR_1822 = 2,
    NDISBRIDGE_IF_TYPE_HDH_1822 = 3,
    NDISBRIDGE_IF_TYPE_DDN_X25 = 4,
    NDISBRIDGE_IF_TYPE_RFC877_X25 = 5,
    NDISBRIDGE_IF_TYPE_ETHERNET_CSMACD = 6,
    NDISBRIDGE_IF_TYPE_IS088023_CSMACD = 7,
    NDISBRIDGE_IF_TYPE_ISO88024_TOKENBUS = 8,
    NDISBRIDGE_IF_TYPE_ISO88025_TOKENRING = 9,
    NDISBRIDGE_IF_TYPE_ISO88026_MAN = 10,
    NDISBRIDGE_IF_TYPE_STARLAN = 11,
    NDISBRIDGE_IF_TYPE_PROTEON_10MBIT = 12,
    NDISBRIDGE_IF_TYPE_PROTEON_80MBIT = 13,
    NDISBRIDGE_IF_TYPE_HYPERCHANNEL = 14,
    NDISBRIDGE_IF_TYPE_FDDI = 15,
    NDISBRIDGE_IF_TYPE_LAP_B = 16,
    NDISBRIDGE_IF_TYPE_SDLC = 17,
    NDISBRIDGE_IF_TYPE_DS1 = 18,
    NDISBRIDGE_IF_TYPE_E1 = 19,
    NDISBRIDGE_IF_TYPE_BASIC_ISDN = 20,
    NDISBRIDGE_IF_TYPE_PRIMARY_ISDN = 21,
    NDISBRIDGE_IF_TYPE_PROP_POINT2POINT_SERIAL = 22,
    NDISBRIDGE_IF_TYPE_PPP = 23,
    NDISBRIDGE_IF_TYPE_SOFTWARE_LOOPBACK = 24,
    NDISBRIDGE_IF_TYPE_EON = 25,
    NDISBRIDGE_IF_TYPE_ETHERNET_3MBIT = 26,
    NDISBRIDGE_IF_TYPE_NSIP = 27,
    NDISBRIDGE_IF_TYPE_SLIP = 28,
    NDISBRIDGE_IF_TYPE_ULTRA = 29,
    NDISBRIDGE_IF_TYPE_DS3 = 30,
    NDISBRIDGE_IF_TYPE_SIP = 31,
    NDISBRIDGE_IF_TYPE_FRAMERELAY = 32,
    NDISBRIDGE_IF_TYPE_RS232 = 33,
    NDISBRIDGE_IF_TYPE_PARA = 34,
    NDISBRIDGE_IF_TYPE_ARCNET = 35,
    NDISBRIDGE_IF_TYPE_ARCNET_PLUS = 36,
    NDISBRIDGE_IF_TYPE_ATM = 37,
    NDISBRIDGE_IF_TYPE_MIO_X25 = 38,
    NDISBRIDGE_IF_TYPE_SONET = 39,
    NDISBRIDGE_IF_TYPE_X25_PLE = 40,
    NDISBRIDGE_IF_TYPE_ISO88022_LLC = 41,
    NDISBRIDGE_IF_TYPE_LOCALTALK = 42,
    NDISBRIDGE_IF_TYPE_SMDS_DXI = 43,
    NDISBRIDGE_IF_TYPE_FRAMERELAY_SERVICE = 44,
    NDISBRIDGE_IF_TYPE_V35 = 45,
    NDISBRIDGE_IF_TYPE_HSSI = 46,
    NDISBRIDGE_IF_TYPE_HIPPI = 47,
    NDISBRIDGE_IF_TYPE_MODEM = 48,
    NDISBRIDGE_IF_TYPE_AAL5 = 49,
    NDISBRIDGE_IF_TYPE_SONET_PATH = 50,
    NDISBRIDGE_IF_TYPE_SONET_VT = 51,
    NDISBRIDGE_IF_TYPE_SMDS_ICIP = 52,
    NDISBRIDGE_IF_TYPE_PROP_VIRTUAL = 53,
    NDISBRIDGE_IF_TYPE_PROP_MULTIPLEXOR = 54,
    NDISBRIDGE_IF_TYPE_IEEE80212 = 55,
    NDISBRIDGE_IF_TYPE_FIBRECHANNEL = 56,
    NDISBRIDGE_IF_TYPE_HIPPIINTERFACE = 57,
    NDISBRIDGE_IF_TYPE_FRAMERELAY_INTERCONNECT = 58,
    NDISBRIDGE_IF_TYPE_AFLANE_8023 = 59,
    NDISBRIDGE_IF_TYPE_AFLANE_8025 = 60,
    NDISBRIDGE_IF_TYPE_CCTEMUL = 61,
    NDISBRIDGE_IF_TYPE_FASTETHER = 62,
    NDISBRIDGE_IF_TYPE_ISDN = 63,
    NDISBRIDGE_IF_TYPE_V11 = 64,
    NDISBRIDGE_IF_TYPE_V36 = 65,
    NDISBRIDGE_IF_TYPE_G703_64K = 66,
    NDISBRIDGE_IF_TYPE_G703_2MB = 67,
    NDISBRIDGE_IF_TYPE_QLLC = 68,
    NDISBRIDGE_IF_TYPE_FASTETHER_FX = 69,
    NDISBRIDGE_IF_TYPE_CHANNEL = 70,
    NDISBRIDGE_IF_TYPE_IEEE80211 = 71,
    NDISBRIDGE_IF_TYPE_IBM370PARCHAN = 72,
    NDISBRIDGE_IF_TYPE_ESCON = 73,
    NDISBRIDGE_IF_TYPE_DLSW = 74,
    NDISBRIDGE_IF_TYPE_ISDN_S = 75,
    NDISBRIDGE_IF_TYPE_ISDN_U = 76,
    NDISBRIDGE_IF_TYPE_LAP_D = 77,
    NDISBRIDGE_IF_TYPE_IPSWITCH = 78,
    NDISBRIDGE_IF_TYPE_RSRB = 79,
    NDISBRIDGE_IF_TYPE_ATM_LOGICAL = 80,
    NDISBRIDGE_IF_TYPE_DS0 = 81,
    NDISBRIDGE_IF_TYPE_DS0_BUNDLE = 82,
    NDISBRIDGE_IF_TYPE_BSC = 83,
    NDISBRIDGE_IF_TYPE_ASYNC = 84,
    NDISBRIDGE_IF_TYPE_CNR = 85,
    NDISBRIDGE_IF_TYPE_ISO88025R_DTR = 86,
    NDISBRIDGE_IF_TYPE_EPLRS = 87,
    NDISBRIDGE_IF_TYPE_ARAP = 88,
    NDISBRIDGE_IF_TYPE_PROP_CNLS = 89,
    NDISBRIDGE_IF_TYPE_HOSTPAD = 90,
    NDISBRIDGE_IF_TYPE_TERMPAD = 91,
    NDISBRIDGE_IF_TYPE_FRAMERELAY_MPI = 92,
    NDISBRIDGE_IF_TYPE_X213 = 93,
    NDISBRIDGE_IF_TYPE_ADSL = 94,
    NDISBRIDGE_IF_TYPE_RADSL = 95,
    NDISBRIDGE_IF_TYPE_SDSL = 96,
    NDISBRIDGE_IF_TYPE_VDSL = 97,
    NDISBRIDGE_IF_TYPE_ISO88025_CRFPRINT = 98,
    NDISBRIDGE_IF_TYPE_MYRINET = 99,
    NDISBRIDGE_IF_TYPE_VOICE_EM = 100,
    NDISBRIDGE_IF_TYPE_VOICE_FXO = 101,
    NDISBRIDGE_IF_TYPE_VOICE_FXS = 102,
    NDISBRIDGE_IF_TYPE_VOICE_ENCAP = 103,
    NDISBRIDGE_IF_TYPE_VOICE_OVERIP = 104,
    NDISBRIDGE_IF_TYPE_ATM_DXI = 105,
    NDISBRIDGE_IF_TYPE_ATM_FUNI = 106,
    NDISBRIDGE_IF_TYPE_ATM_IMA = 107,
    NDISBRIDGE_IF_TYPE_PPPMULTILINKBUNDLE = 108,
    NDISBRIDGE_IF_TYPE_IPOVER_CDLC = 109,
    NDISBRIDGE_IF_TYPE_IPOVER_CLAW = 110,
    NDISBRIDGE_IF_TYPE_STACKTOSTACK = 111,
    NDISBRIDGE_IF_TYPE_VIRTUALIPADDRESS = 112,
    NDISBRIDGE_IF_TYPE_MPC = 113,
    NDISBRIDGE_IF_TYPE_IPOVER_ATM = 114,
    NDISBRIDGE_IF_TYPE_ISO88025_FIBER = 115,
    NDISBRIDGE_IF_TYPE_TDLC = 116,
    NDISBRIDGE_IF_TYPE_GIGABITETHERNET = 117,
    NDISBRIDGE_IF_TYPE_HDLC = 118,
    NDISBRIDGE_IF_TYPE_LAP_F = 119,
    NDISBRIDGE_IF_TYPE_V37 = 120,
    NDISBRIDGE_IF_TYPE_X25_MLP = 121,
    NDISBRIDGE_IF_TYPE_X25_HUNTGROUP = 122,
    NDISBRIDGE_IF_TYPE_TRANSPHDLC = 123,
    NDISBRIDGE_IF_TYPE_INTERLEAVE = 124,
    NDISBRIDGE_IF_TYPE_FAST = 125,
    NDISBRIDGE_IF_TYPE_IP = 126,
    NDISBRIDGE_IF_TYPE_DOCSCABLE_MACLAYER = 127,
    NDISBRIDGE_IF_TYPE_DOCSCABLE_DOWNSTREAM = 128,
    NDISBRIDGE_IF_TYPE_DOCSCABLE_UPSTREAM = 129,
    NDISBRIDGE_IF_TYPE_A12MPPSWITCH = 130,
    NDISBRIDGE_IF_TYPE_TUNNEL = 131,
    NDISBRIDGE_IF_TYPE_COFFEE = 132,
    NDISBRIDGE_IF_TYPE_CES = 133,
    NDISBRIDGE_IF_TYPE_ATM_SUBINTERFACE = 134,
    NDISBRIDGE_IF_TYPE_L2_VLAN = 135,
    NDISBRIDGE_IF_TYPE_L3_IPVLAN = 136,
    NDISBRIDGE_IF_TYPE_L3_IPXVLAN = 137,
    NDISBRIDGE_IF_TYPE_DIGITALPOWERLINE = 138,
    NDISBRIDGE_IF_TYPE_MEDIAMAILOVERIP = 139,
    NDISBRIDGE_IF_TYPE_DTM = 140,
    NDISBRIDGE_IF_TYPE_DCN = 141,
    NDISBRIDGE_IF_TYPE_IPFORWARD = 142,
    NDISBRIDGE_IF_TYPE_MSDSL = 143,
    NDISBRIDGE_IF_TYPE_IEEE1394 = 144,
    NDISBRIDGE_IF_TYPE_IF_GSN = 145,
    NDISBRIDGE_IF_TYPE_RECEIVE_ONLY = 145,
    NDISBRIDGE_IF_TYPE_DVBRCC_MACLAYER = 146,
    NDISBRIDGE_IF_TYPE_DVBRCC_DOWNSTREAM = 147,
    NDISBRIDGE_IF_TYPE_DVBRCC_UPSTREAM = 148,
    NDISBRIDGE_IF_TYPE_ATM_VIRTUAL = 149,
    NDISBRIDGE_IF_TYPE_MPLS_TUNNEL = 150,
    NDISBRIDGE_IF_TYPE_SRP = 151,
    NDISBRIDGE_IF_TYPE_VOICEOVERATM = 152,
    NDISBRIDGE_IF_TYPE_VOICEOVERFRAMERELAY = 153,
    NDISBRIDGE_IF_TYPE_IDSL = 154,
    NDISBRIDGE_IF_TYPE_COMPOSITELINK = 155,
    NDISBRIDGE_IF_TYPE_SS7_SIGLINK = 156,
    NDISBRIDGE_IF_TYPE_PROP_WIRELESS_P2P = 157,
    NDISBRIDGE_IF_TYPE_FR_FORWARD = 158,
    NDISBRIDGE_IF_TYPE_RFC1483 = 159,
    NDISBRIDGE_IF_TYPE_USB = 160,
    NDISBRIDGE_IF_TYPE_IEEE8023AD_LAG = 161,
    NDISBRIDGE_IF_TYPE_BGP_POLICY_ACCOUNTING = 162,
    NDISBRIDGE_IF_TYPE_FRF16_MFR_BUNDLE = 163,
    NDISBRIDGE_IF_TYPE_H323_GATEKEEPER = 164,
    NDISBRIDGE_IF_TYPE_H323_PROXY = 165,
    NDISBRIDGE_IF_TYPE_MPLS = 166,
    NDISBRIDGE_IF_TYPE_MF_SIGLINK = 167,
    NDISBRIDGE_IF_TYPE_HDSL2 = 168,
    NDISBRIDGE_IF_TYPE_SHDSL = 169,
    NDISBRIDGE_IF_TYPE_DS1_FDL = 170,
    NDISBRIDGE_IF_TYPE_POS = 171,
    NDISBRIDGE_IF_TYPE_DVB_ASI_IN = 172,
    NDISBRIDGE_IF_TYPE_DVB_ASI_OUT = 173,
    NDISBRIDGE_IF_TYPE_PLC = 174,
    NDISBRIDGE_IF_TYPE_NFAS = 175,
    NDISBRIDGE_IF_TYPE_TR008 = 176,
    NDISBRIDGE_IF_TYPE_GR303_RDT = 177,
    NDISBRIDGE_IF_TYPE_GR303_IDT = 178,
    NDISBRIDGE_IF_TYPE_ISUP = 179,
    NDISBRIDGE_IF_TYPE_PROP_DOCS_WIRELESS_MACLAYER = 180,
    NDISBRIDGE_IF_TYPE_PROP_DOCS_WIRELESS_DOWNSTREAM = 181,
    NDISBRIDGE_IF_TYPE_PROP_DOCS_WIRELESS_UPSTREAM = 182,
    NDISBRIDGE_IF_TYPE_HIPERLAN2 = 183,
    NDISBRIDGE_IF_TYPE_PROP_BWA_P2MP = 184,
    NDISBRIDGE_IF_TYPE_SONET_OVERHEAD_CHANNEL = 185,
    NDISBRIDGE_IF_TYPE_DIGITAL_WRAPPER_OVERHEAD_CHANNEL = 186,
    NDISBRIDGE_IF_TYPE_AAL2 = 187,
    NDISBRIDGE_IF_TYPE_RADIO_MAC = 188,
    NDISBRIDGE_IF_TYPE_ATM_RADIO = 189,
    NDISBRIDGE_IF_TYPE_IMT = 190,
    NDISBRIDGE_IF_TYPE_MVL = 191,
    NDISBRIDGE_IF_TYPE_REACH_DSL = 192,
    NDISBRIDGE_IF_TYPE_FR_DLCI_ENDPT = 193,
    NDISBRIDGE_IF_TYPE_ATM_VCI_ENDPT = 194,
    NDISBRIDGE_IF_TYPE_OPTICAL_CHANNEL = 195,
    NDISBRIDGE_IF_TYPE_OPTICAL_TRANSPORT = 196,
    NDISBRIDGE_IF_TYPE_INFINIBAND = 199,
    NDISBRIDGE_IF_TYPE_BRIDGE = 209,
    NDISBRIDGE_IF_TYPE_GTP = 216,
    NDISBRIDGE_IF_TYPE_MACSEC_CONTROLLED_IF = 231,
    NDISBRIDGE_IF_TYPE_MACSEC_UNCONTROLLED_IF = 232,
    NDISBRIDGE_IF_TYPE_IEEE80216_WMAN = 237,
    NDISBRIDGE_IF_TYPE_WWANPP = 243,
    NDISBRIDGE_IF_TYPE_WWANPP2 = 244,
    NDISBRIDGE_IF_TYPE_IEEE802154 = 259,
    NDISBRIDGE_IF_TYPE_XBOX_WIRELESS = 281
};

/** OIDs of the catalog: meaning, type, unit, access, and the RFC 2863
 *  object that tells the same. */
enum ndisbridge_oid {
    /** OIDs that the driver answers.  ULONG each, OID; query. */
    NDISBRIDGE_OID_GEN_SUPPORTED_LIST = 0x00010101,
    /** State of the hardware.  NDIS_HARDWARE_STATUS; query. */
    NDISBRIDGE_OID_GEN_HARDWARE_STATUS = 0x00010102,
    /** Media types that the driver can handle.  NDIS_MEDIUM each; query. */
    NDISBRIDGE_OID_GEN_MEDIA_SUPPORTED = 0x00010103,
    /** Media types in use.  NDIS_MEDIUM each; query. */
    NDISBRIDGE_OID_GEN_MEDIA_IN_USE = 0x00010104,
    /** Greatest lookahead that the driver can give.  ULONG, bytes; query. */
    NDISBRIDGE_OID_GEN_MAXIMUM_LOOKAHEAD = 0x00010105,
    /** Greatest payload, without link header.  ULONG, bytes; query;
     *  settable by an extension of NDIS; ifMtu. */
    NDISBRIDGE_OID_GEN_MAXIMUM_FRAME_SIZE = 0x00010106,
    /** Greatest link speed as NDIS 5 has it.  ULONG, 100 bit/s; query. */
    NDISBRIDGE_OID_GEN_LINK_SPEED = 0x00010107,
    /** Memory for transmit buffers.  ULONG, bytes; query. */
    NDISBRIDGE_OID_GEN_TRANSMIT_BUFFER_SPACE = 0x00010108,
    /** Memory for receive buffers.  ULONG, bytes; query. */
    NDISBRIDGE_OID_GEN_RECEIVE_BUFFER_SPACE = 0x00010109,
    /** Least that a frame takes of the transmit buffers.  ULONG, bytes;
     *  query. */
    NDISBRIDGE_OID_GEN_TRANSMIT_BLOCK_SIZE = 0x0001010A,
    /** Least that a frame takes of the receive buffers.  ULONG, bytes;
     *  query. */
    NDISBRIDGE_OID_GEN_RECEIVE_BLOCK_SIZE = 0x0001010B,
    /** IEEE code of the vendor and the model.  ULONG; query. */
    NDISBRIDGE_OID_GEN_VENDOR_ID = 0x0001010C,
    /** Description by the vendor, with its NUL.  Bytes; query. */
    NDISBRIDGE_OID_GEN_VENDOR_DESCRIPTION = 0x0001010D,
    /** Kinds of packets that are received.  ULONG, NDIS_PACKET_TYPE bits;
     *  query and set. */
    NDISBRIDGE_OID_GEN_CURRENT_PACKET_FILTER = 0x0001010E,
    /** Lookahead in use.  ULONG, bytes; query and set. */
    NDISBRIDGE_OID_GEN_CURRENT_LOOKAHEAD = 0x0001010F,
    /** NDIS version that the driver was written for.  Bytes; query. */
    NDISBRIDGE_OID_GEN_DRIVER_VERSION = 0x00010110,
    /** Greatest frame, with link header.  ULONG, bytes; query. */
    NDISBRIDGE_OID_GEN_MAXIMUM_TOTAL_SIZE = 0x00010111,
    /** Options of the protocol above.  ULONG; set. */
    NDISBRIDGE_OID_GEN_PROTOCOL_OPTIONS = 0x00010112,
    /** Options of the driver.  ULONG, NDIS_MAC_OPTION bits; query. */
    NDISBRIDGE_OID_GEN_MAC_OPTIONS = 0x00010113,
    /** Media state as NDIS 5 has it: 0 connected, 1 disconnected.
     *  NDIS_MEDIA_STATE; query. */
    NDISBRIDGE_OID_GEN_MEDIA_CONNECT_STATUS = 0x00010114,
    /** Most packets in one send request.  ULONG, packets; query. */
    NDISBRIDGE_OID_GEN_MAXIMUM_SEND_PACKETS = 0x00010115,
    /** Version of the driver, major in the high half.  ULONG; query. */
    NDISBRIDGE_OID_GEN_VENDOR_DRIVER_VERSION = 0x00010116,
    /** Custom GUIDs that the driver maps to OIDs or statuses.  Bytes;
     *  query. */
    NDISBRIDGE_OID_GEN_SUPPORTED_GUIDS = 0x00010117,
    /** NETWORK_ADDRESS_LIST of the protocol above.  Bytes; set. */
    NDISBRIDGE_OID_GEN_NETWORK_LAYER_ADDRESSES = 0x00010118,
    /** Where the transport header starts.  Bytes; set. */
    NDISBRIDGE_OID_GEN_TRANSPORT_HEADER_OFFSET = 0x00010119,
    /** Capabilities of the medium.  Bytes; query. */
    NDISBRIDGE_OID_GEN_MEDIA_CAPABILITIES = 0x00010201,
    /** Physical medium.  NDIS_PHYSICAL_MEDIUM; query. */
    NDISBRIDGE_OID_GEN_PHYSICAL_MEDIUM = 0x00010202,
    /** Receive side scaling that the hardware can do.  Bytes; query. */
    NDISBRIDGE_OID_GEN_RECEIVE_SCALE_CAPABILITIES = 0x00010203,
    /** Receive side scaling in use.  Bytes; query and set. */
    NDISBRIDGE_OID_GEN_RECEIVE_SCALE_PARAMETERS = 0x00010204,
    /** Address of the interface.  Bytes; query and set. */
    NDISBRIDGE_OID_GEN_MAC_ADDRESS = 0x00010205,
    /** Greatest speeds that the link can have.  NDIS_LINK_SPEED, bit/s;
     *  query. */
    NDISBRIDGE_OID_GEN_MAX_LINK_SPEED = 0x00010206,
    /** Media connect state, duplex, speeds and flow control.
     *  NDIS_LINK_STATE; query. */
    NDISBRIDGE_OID_GEN_LINK_STATE = 0x00010207,
    /** Wanted duplex, speeds and flow control.  Bytes; set. */
    NDISBRIDGE_OID_GEN_LINK_PARAMETERS = 0x00010208,
    /** Interrupt moderation.  Bytes; query and set. */
    NDISBRIDGE_OID_GEN_INTERRUPT_MODERATION = 0x00010209,
    /** Ports of the miniport adapter.  Bytes; query. */
    NDISBRIDGE_OID_GEN_ENUMERATE_PORTS = 0x0001020D,
    /** State of one port.  Bytes; query. */
    NDISBRIDGE_OID_GEN_PORT_STATE = 0x0001020E,
    /** Authentication state of one port.  Bytes; set. */
    NDISBRIDGE_OID_GEN_PORT_AUTHENTICATION_PARAMETERS = 0x0001020F,
    /** Timeout requests that are supported.  Bytes; query. */
    NDISBRIDGE_OID_GEN_TIMEOUT_DPC_REQUEST_CAPABILITIES = 0x00010210,
    /** Properties of the PCI device.  Bytes; query. */
    NDISBRIDGE_OID_GEN_PCI_DEVICE_CUSTOM_PROPERTIES = 0x00010211,
    /** Physical medium, without the limits of older readers.
     *  NDIS_PHYSICAL_MEDIUM; query. */
    NDISBRIDGE_OID_GEN_PHYSICAL_MEDIUM_EX = 0x00010213,
    /** Receive side scaling in use, version 2.  Bytes; query and set. */
    NDISBRIDGE_OID_GEN_RECEIVE_SCALE_PARAMETERS_V2 = 0x00010214,
    /** Name of the machine, UTF-16.  Bytes; set. */
    NDISBRIDGE_OID_GEN_MACHINE_NAME = 0x0001021A,
    /** One configuration parameter of an RNDIS device.  Bytes; set. */
    NDISBRIDGE_OID_GEN_RNDIS_CONFIG_PARAMETER = 0x0001021B,
    /** VLAN identifier.  ULONG; query and set. */
    NDISBRIDGE_OID_GEN_VLAN_ID = 0x0001021C,
    /** Attributes at the last restart of the miniport adapter.  Bytes;
     *  query. */
    NDISBRIDGE_OID_GEN_MINIPORT_RESTART_ATTRIBUTES = 0x0001021D,
    /** Header-data split that is wanted.  Bytes; set. */
    NDISBRIDGE_OID_GEN_HD_SPLIT_PARAMETERS = 0x0001021E,
    /** Receive hash calculation.  Bytes; query and set. */
    NDISBRIDGE_OID_GEN_RECEIVE_HASH = 0x0001021F,
    /** Header-data split in use.  Bytes; query. */
    NDISBRIDGE_OID_GEN_HD_SPLIT_CURRENT_CONFIG = 0x00010220,
    /** TRUE if all packets on the wire are accepted.  BOOLEAN; query;
     *  settable by an extension of NDIS; ifPromiscuousMode. */
    NDISBRIDGE_OID_GEN_PROMISCUOUS_MODE = 0x00010280,
    /** When the operational status was entered, since machine start.
     *  ULONG64, ms; query; ifLastChange. */
    NDISBRIDGE_OID_GEN_LAST_CHANGE = 0x00010281,
    /** When counters last jumped, since machine start; 0 if never.
     *  ULONG64, ms; query; ifCounterDiscontinuityTime. */
    NDISBRIDGE_OID_GEN_DISCONTINUITY_TIME = 0x00010282,
    /** Operational status.  NET_IF_OPER_STATUS; query; ifOperStatus. */
    NDISBRIDGE_OID_GEN_OPERATIONAL_STATUS = 0x00010283,
    /** Transmit speed of the link.  ULONG64, bit/s; query; ifHighSpeed,
     *  ifSpeed. */
    NDISBRIDGE_OID_GEN_XMIT_LINK_SPEED = 0x00010284,
    /** Receive speed of the link.  ULONG64, bit/s; query; ifHighSpeed,
     *  ifSpeed. */
    NDISBRIDGE_OID_GEN_RCV_LINK_SPEED = 0x00010285,
    /** Received and dropped: unknown or unsupported protocol.  ULONG64,
     *  packets; query; ifInUnknownProtos. */
    NDISBRIDGE_OID_GEN_UNKNOWN_PROTOS = 0x00010286,
    /** Everything of the interface that varies.
     *  NDIS_INTERFACE_INFORMATION; query. */
    NDISBRIDGE_OID_GEN_INTERFACE_INFO = 0x00010287,
    /** Status that the administrator asked for.  NET_IF_ADMIN_STATUS;
     *  query; settable by an extension of NDIS; ifAdminStatus. */
    NDISBRIDGE_OID_GEN_ADMIN_STATUS = 0x00010288,
    /** Alias of the interface.  IF_COUNTED_STRING; query; settable by an
     *  extension of NDIS; ifAlias. */
    NDISBRIDGE_OID_GEN_ALIAS = 0x00010289,
    /** Media connect state.  NET_IF_MEDIA_CONNECT_STATE; query. */
    NDISBRIDGE_OID_GEN_MEDIA_CONNECT_STATUS_EX = 0x0001028A,
    /** Both speeds of the link.  NDIS_LINK_SPEED, bit/s; query;
     *  ifHighSpeed. */
    NDISBRIDGE_OID_GEN_LINK_SPEED_EX = 0x0001028B,
    /** Media duplex state.  NET_IF_MEDIA_DUPLEX_STATE; query. */
    NDISBRIDGE_OID_GEN_MEDIA_DUPLEX_STATE = 0x0001028C,
    /** Operational status of each address family.
     *  NDIS_IP_OPER_STATUS_INFO; query. */
    NDISBRIDGE_OID_GEN_IP_OPER_STATUS = 0x0001028D,
    /** Entries of the receive side scaling table.  Bytes; set. */
    NDISBRIDGE_OID_GEN_RSS_SET_INDIRECTION_TABLE_ENTRIES = 0x000102C0,
    /** Traffic isolation.  Bytes; query and set. */
    NDISBRIDGE_OID_GEN_ISOLATION_PARAMETERS = 0x00010300,
    /** Frames transmitted without errors.  ULONG64, packets; query. */
    NDISBRIDGE_OID_GEN_XMIT_OK = 0x00020101,
    /** Frames received without errors.  ULONG64, packets; query. */
    NDISBRIDGE_OID_GEN_RCV_OK = 0x00020102,
    /** Frames that failed to be transmitted.  ULONG64, packets; query;
     *  ifOutErrors. */
    NDISBRIDGE_OID_GEN_XMIT_ERROR = 0x00020103,
    /** Frames received with errors.  ULONG64, packets; query; ifInErrors. */
    NDISBRIDGE_OID_GEN_RCV_ERROR = 0x00020104,
    /** Frames lost for want of a receive buffer.  ULONG64, packets; query. */
    NDISBRIDGE_OID_GEN_RCV_NO_BUFFER = 0x00020105,
    /** All counters at once.  NDIS_STATISTICS_INFO; query. */
    NDISBRIDGE_OID_GEN_STATISTICS = 0x00020106,
    /** Least speeds of a connection-oriented link.  Bytes; query. */
    NDISBRIDGE_OID_GEN_CO_MINIMUM_LINK_SPEED = 0x00020120,
    /** Bytes of unicast frames transmitted.  ULONG64, bytes; query. */
    NDISBRIDGE_OID_GEN_DIRECTED_BYTES_XMIT = 0x00020201,
    /** Unicast frames transmitted.  ULONG64, packets; query;
     *  ifHCOutUcastPkts. */
    NDISBRIDGE_OID_GEN_DIRECTED_FRAMES_XMIT = 0x00020202,
    /** Bytes of multicast frames transmitted.  ULONG64, bytes; query. */
    NDISBRIDGE_OID_GEN_MULTICAST_BYTES_XMIT = 0x00020203,
    /** Multicast frames transmitted.  ULONG64, packets; query;
     *  ifHCOutMulticastPkts. */
    NDISBRIDGE_OID_GEN_MULTICAST_FRAMES_XMIT = 0x00020204,
    /** Bytes of broadcast frames transmitted.  ULONG64, bytes; query. */
    NDISBRIDGE_OID_GEN_BROADCAST_BYTES_XMIT = 0x00020205,
    /** Broadcast frames transmitted.  ULONG64, packets; query;
     *  ifHCOutBroadcastPkts. */
    NDISBRIDGE_OID_GEN_BROADCAST_FRAMES_XMIT = 0x00020206,
    /** Bytes of unicast frames received.  ULONG64, bytes; query. */
    NDISBRIDGE_OID_GEN_DIRECTED_BYTES_RCV = 0x00020207,
    /** Unicast frames received.  ULONG64, packets; query; ifHCInUcastPkts. */
    NDISBRIDGE_OID_GEN_DIRECTED_FRAMES_RCV = 0x00020208,
    /** Bytes of multicast frames received.  ULONG64, bytes; query. */
    NDISBRIDGE_OID_GEN_MULTICAST_BYTES_RCV = 0x00020209,
    /** Multicast frames received.  ULONG64, packets; query;
     *  ifHCInMulticastPkts. */
    NDISBRIDGE_OID_GEN_MULTICAST_FRAMES_RCV = 0x0002020A,
    /** Bytes of broadcast frames received.  ULONG64, bytes; query. */
    NDISBRIDGE_OID_GEN_BROADCAST_BYTES_RCV = 0x0002020B,
    /** Broadcast frames received.  ULONG64, packets; query;
     *  ifHCInBroadcastPkts. */
    NDISBRIDGE_OID_GEN_BROADCAST_FRAMES_RCV = 0x0002020C,
    /** Frames received with checksum errors.  ULONG64, packets; query. */
    NDISBRIDGE_OID_GEN_RCV_CRC_ERROR = 0x0002020D,
    /** Packets queued for transmission.  ULONG64, packets; query. */
    NDISBRIDGE_OID_GEN_TRANSMIT_QUEUE_LENGTH = 0x0002020E,
    /** Clock of the hardware.  Bytes; query. */
    NDISBRIDGE_OID_GEN_GET_TIME_CAPS = 0x0002020F,
    /** Time of the hardware's clock.  Bytes; query. */
    NDISBRIDGE_OID_GEN_GET_NETCARD_TIME = 0x00020210,
    /** Load of the hardware.  Bytes; query. */
    NDISBRIDGE_OID_GEN_NETCARD_LOAD = 0x00020211,
    /** Profile of the device.  Bytes; query. */
    NDISBRIDGE_OID_GEN_DEVICE_PROFILE = 0x00020212,
    /** Time that initialisation took.  ULONG, ms; query. */
    NDISBRIDGE_OID_GEN_INIT_TIME_MS = 0x00020213,
    /** Resets of the hardware.  ULONG, resets; query. */
    NDISBRIDGE_OID_GEN_RESET_COUNTS = 0x00020214,
    /** Changes of the media connect state.  ULONG, changes; query. */
    NDISBRIDGE_OID_GEN_MEDIA_SENSE_COUNTS = 0x00020215,
    /** Friendly name of the miniport adapter.  Bytes; query. */
    NDISBRIDGE_OID_GEN_FRIENDLY_NAME = 0x00020216,
    /** Bytes received.  ULONG64, bytes; query; ifHCInOctets. */
    NDISBRIDGE_OID_GEN_BYTES_RCV = 0x00020219,
    /** Bytes transmitted.  ULONG64, bytes; query; ifHCOutOctets. */
    NDISBRIDGE_OID_GEN_BYTES_XMIT = 0x0002021A,
    /** Frames received and discarded.  ULONG64, packets; query;
     *  ifInDiscards. */
    NDISBRIDGE_OID_GEN_RCV_DISCARDS = 0x0002021B,
    /** Frames discarded before transmission.  ULONG64, packets; query;
     *  ifOutDiscards. */
    NDISBRIDGE_OID_GEN_XMIT_DISCARDS = 0x0002021C,
    /** Bytes of connection-oriented sends not yet complete.  Bytes; query. */
    NDISBRIDGE_OID_GEN_CO_BYTES_XMIT_OUTSTANDING = 0x00020221,
    /** Address that the hardware was made with.  6 bytes; query. */
    NDISBRIDGE_OID_802_3_PERMANENT_ADDRESS = 0x01010101,
    /** Address in use.  6 bytes; query; ifPhysAddress. */
    NDISBRIDGE_OID_802_3_CURRENT_ADDRESS = 0x01010102,
    /** Multicast addresses received; a set replaces them all.  6 bytes
     *  each; query and set. */
    NDISBRIDGE_OID_802_3_MULTICAST_LIST = 0x01010103,
    /** Most addresses in the multicast list.  ULONG, addresses; query. */
    NDISBRIDGE_OID_802_3_MAXIMUM_LIST_SIZE = 0x01010104,
    /** Options of the medium.  ULONG; query. */
    NDISBRIDGE_OID_802_3_MAC_OPTIONS = 0x01010105,
    /** Adds one address to the multicast list.  6 bytes; set. */
    NDISBRIDGE_OID_802_3_ADD_MULTICAST_ADDRESS = 0x01010208,
    /** Takes one address off the multicast list.  6 bytes; set. */
    NDISBRIDGE_OID_802_3_DELETE_MULTICAST_ADDRESS = 0x01010209,
    /** Frames received with alignment errors.  ULONG64, packets; query. */
    NDISBRIDGE_OID_802_3_RCV_ERROR_ALIGNMENT = 0x01020101,
    /** Frames transmitted after one collision.  ULONG64, packets; query. */
    NDISBRIDGE_OID_802_3_XMIT_ONE_COLLISION = 0x01020102,
    /** Frames transmitted after several collisions.  ULONG64, packets;
     *  query. */
    NDISBRIDGE_OID_802_3_XMIT_MORE_COLLISIONS = 0x01020103,
    /** Frames whose transmission was deferred.  ULONG64, packets; query. */
    NDISBRIDGE_OID_802_3_XMIT_DEFERRED = 0x01020201,
    /** Frames given up after too many collisions.  ULONG64, packets; query. */
    NDISBRIDGE_OID_802_3_XMIT_MAX_COLLISIONS = 0x01020202,
    /** Frames lost to receive overruns.  ULONG64, packets; query. */
    NDISBRIDGE_OID_802_3_RCV_OVERRUN = 0x01020203,
    /** Frames lost to transmit underruns.  ULONG64, packets; query. */
    NDISBRIDGE_OID_802_3_XMIT_UNDERRUN = 0x01020204,
    /** Frames sent without a heartbeat.  ULONG64, packets; query. */
    NDISBRIDGE_OID_802_3_XMIT_HEARTBEAT_FAILURE = 0x01020205,
    /** Carrier lost while transmitting.  ULONG64, times; query. */
    NDISBRIDGE_OID_802_3_XMIT_TIMES_CRS_LOST = 0x01020206,
    /** Collisions after the normal window.  ULONG64, packets; query. */
    NDISBRIDGE_OID_802_3_XMIT_LATE_COLLISIONS = 0x01020207,
    /** Reserved for system use.  Bytes; query. */
    NDISBRIDGE_OID_TUNNEL_INTERFACE_SET_OID = 0x0F010106,
    /** Reserved for system use.  Bytes; query. */
    NDISBRIDGE_OID_TUNNEL_INTERFACE_RELEASE_OID = 0x0F010107
};

/** NET_IF_OPER_STATUS; ifOperStatus. */
enum ndisbridge_net_if_oper_status {
    NDISBRIDGE_NET_IF_OPER_STATUS_UP = 1,
    NDISBRIDGE_NET_IF_OPER_STATUS_DOWN = 2,
    NDISBRIDGE_NET_IF_OPER_STATUS_TESTING = 3,
    NDISBRIDGE_NET_IF_OPER_STATUS_UNKNOWN = 4,
    NDISBRIDGE_NET_IF_OPER_STATUS_DORMANT = 5,
    NDISBRIDGE_NET_IF_OPER_STATUS_NOT_PRESENT = 6,
    NDISBRIDGE_NET_IF_OPER_STATUS_LOWER_LAYER_DOWN = 7
};

/** Reasons of an operational status, for DOWN and DORMANT. */
enum ndisbridge_net_if_oper_status_flags {
    NDISBRIDGE_NET_IF_OPER_STATUS_DOWN_NOT_AUTHENTICATED = 0x00000001,
    NDISBRIDGE_NET_IF_OPER_STATUS_DOWN_NOT_MEDIA_CONNECTED = 0x00000002,
    NDISBRIDGE_NET_IF_OPER_STATUS_DORMANT_PAUSED = 0x00000004,
    NDISBRIDGE_NET_IF_OPER_STATUS_DORMANT_LOW_POWER = 0x00000008
};

/** NET_IF_ADMIN_STATUS; ifAdminStatus. */
enum ndisbridge_net_if_admin_status {
    NDISBRIDGE_NET_IF_ADMIN_STATUS_UP = 1,
    NDISBRIDGE_NET_IF_ADMIN_STATUS_DOWN = 2,
    NDISBRIDGE_NET_IF_ADMIN_STATUS_TESTING = 3
};

/** NET_IF_MEDIA_CONNECT_STATE. */
enum ndisbridge_net_if_media_connect_state {
    NDISBRIDGE_NET_IF_MEDIA_CONNECT_STATE_UNKNOWN = 0,
    NDISBRIDGE_NET_IF_MEDIA_CONNECT_STATE_CONNECTED = 1,
    NDISBRIDGE_NET_IF_MEDIA_CONNECT_STATE_DISCONNECTED = 2
};

/** NET_IF_MEDIA_DUPLEX_STATE. */
enum ndisbridge_net_if_media_duplex_state {
    NDISBRIDGE_NET_IF_MEDIA_DUPLEX_STATE_UNKNOWN = 0,
    NDISBRIDGE_NET_IF_MEDIA_DUPLEX_STATE_HALF = 1,
    NDISBRIDGE_NET_IF_MEDIA_DUPLEX_STATE_FULL = 2
};

/** NET_IF_ACCESS_TYPE. */
enum ndisbridge_net_if_access_type {
    NDISBRIDGE_NET_IF_ACCESS_LOOPBACK = 1,
    NDISBRIDGE_NET_IF_ACCESS_BROADCAST = 2,
    NDISBRIDGE_NET_IF_ACCESS_POINT_TO_POINT = 3,
    NDISBRIDGE_NET_IF_ACCESS_POINT_TO_MULTI_POINT = 4
};

/** NET_IF_DIRECTION_TYPE. */
enum ndisbridge_net_if_direction_type {
    NDISBRIDGE_NET_IF_DIRECTION_SENDRECEIVE = 0,
    NDISBRIDGE_NET_IF_DIRECTION_SENDONLY = 1,
    NDISBRIDGE_NET_IF_DIRECTION_RECEIVEONLY = 2
};

/** NET_IF_CONNECTION_TYPE. */
enum ndisbridge_net_if_connection_type {
    NDISBRIDGE_NET_IF_CONNECTION_DEDICATED = 1,
    NDISBRIDGE_NET_IF_CONNECTION_PASSIVE = 2,
    NDISBRIDGE_NET_IF_CONNECTION_DEMAND = 3
};

/** NET_IF_RCV_ADDRESS_TYPE; ifRcvAddressType. */
enum ndisbridge_net_if_rcv_address_type {
    NDISBRIDGE_NET_IF_RCV_ADDRESS_TYPE_OTHER = 1,
    NDISBRIDGE_NET_IF_RCV_ADDRESS_TYPE_VOLATILE = 2,
    NDISBRIDGE_NET_IF_RCV_ADDRESS_TYPE_NON_VOLATILE = 3
};

/** NET_IF_COMPARTMENT_ID. */
enum ndisbridge_net_if_compartment_id {
    NDISBRIDGE_NET_IF_COMPARTMENT_ID_UNSPECIFIED = 0,
    NDISBRIDGE_NET_IF_COMPARTMENT_ID_PRIMARY = 1
};

/** NDIS_MEDIUM. */
enum ndisbridge_medium {
    NDISBRIDGE_MEDIUM_802_3 = 0,
    NDISBRIDGE_MEDIUM_802_5 = 1,
    NDISBRIDGE_MEDIUM_FDDI = 2,
    NDISBRIDGE_MEDIUM_WAN = 3,
    NDISBRIDGE_MEDIUM_LOCALTALK = 4,
    NDISBRIDGE_MEDIUM_DIX = 5,
    NDISBRIDGE_MEDIUM_ARCNET_RAW = 6,
    NDISBRIDGE_MEDIUM_ARCNET_878_2 = 7,
    NDISBRIDGE_MEDIUM_ATM = 8,
    NDISBRIDGE_MEDIUM_WIRELESS_WAN = 9,
    NDISBRIDGE_MEDIUM_IRDA = 10,
    NDISBRIDGE_MEDIUM_BPC = 11,
    NDISBRIDGE_MEDIUM_CO_WAN = 12,
    NDISBRIDGE_MEDIUM_1394 = 13,
    NDISBRIDGE_MEDIUM_INFINIBAND = 14,
    NDISBRIDGE_MEDIUM_TUNNEL = 15,
    NDISBRIDGE_MEDIUM_NATIVE_802_11 = 16,
    NDISBRIDGE_MEDIUM_LOOPBACK = 17,
    NDISBRIDGE_MEDIUM_WIMAX = 18,
    NDISBRIDGE_MEDIUM_IP = 19
};

/** NDIS_PHYSICAL_MEDIUM. */
enum ndisbridge_physical_medium {
    NDISBRIDGE_PHYSICAL_MEDIUM_UNSPECIFIED = 0,
    NDISBRIDGE_PHYSICAL_MEDIUM_WIRELESS_LAN = 1,
    NDISBRIDGE_PHYSICAL_MEDIUM_CABLE_MODEM = 2,
    NDISBRIDGE_PHYSICAL_MEDIUM_PHONE_LINE = 3,
    NDISBRIDGE_PHYSICAL_MEDIUM_POWER_LINE = 4,
    NDISBRIDGE_PHYSICAL_MEDIUM_DSL = 5,
    NDISBRIDGE_PHYSICAL_MEDIUM_FIBRE_CHANNEL = 6,
    NDISBRIDGE_PHYSICAL_MEDIUM_1394 = 7,
    NDISBRIDGE_PHYSICAL_MEDIUM_WIRELESS_WAN = 8,
    NDISBRIDGE_PHYSICAL_MEDIUM_NATIVE_802_11 = 9,
    NDISBRIDGE_PHYSICAL_MEDIUM_BLUETOOTH = 10,
    NDISBRIDGE_PHYSICAL_MEDIUM_INFINIBAND = 11,
    NDISBRIDGE_PHYSICAL_MEDIUM_WIMAX = 12,
    NDISBRIDGE_PHYSICAL_MEDIUM_UWB = 13,
    NDISBRIDGE_PHYSICAL_MEDIUM_802_3 = 14,
    NDISBRIDGE_PHYSICAL_MEDIUM_802_5 = 15,
    NDISBRIDGE_PHYSICAL_MEDIUM_IRDA = 16,
    NDISBRIDGE_PHYSICAL_MEDIUM_WIRED_WAN = 17,
    NDISBRIDGE_PHYSICAL_MEDIUM_WIRED_CO_WAN = 18,
    NDISBRIDGE_PHYSICAL_MEDIUM_OTHER = 19
};

/** TUNNEL_TYPE, of interfaces of IfType 131. */
enum ndisbridge_tunnel_type {
    NDISBRIDGE_TUNNEL_TYPE_NONE = 0,
    NDISBRIDGE_TUNNEL_TYPE_OTHER = 1,
    NDISBRIDGE_TUNNEL_TYPE_DIRECT = 2,
    NDISBRIDGE_TUNNEL_TYPE_6TO4 = 11,
    NDISBRIDGE_TUNNEL_TYPE_ISATAP = 13,
    NDISBRIDGE_TUNNEL_TYPE_TEREDO = 14,
    NDISBRIDGE_TUNNEL_TYPE_IPHTTPS = 15
};

/** NDIS_SUPPORTED_PAUSE_FUNCTIONS. */
enum ndisbridge_pause_functions {
    NDISBRIDGE_PAUSE_FUNCTIONS_UNSUPPORTED = 0,
    NDISBRIDGE_PAUSE_FUNCTIONS_SEND_ONLY = 1,
    NDISBRIDGE_PAUSE_FUNCTIONS_RECEIVE_ONLY = 2,
    NDISBRIDGE_PAUSE_FUNCTIONS_SEND_AND_RECEIVE = 3,
    NDISBRIDGE_PAUSE_FUNCTIONS_UNKNOWN = 4
};

/** NIIF_* bits, flags of ndisbridge_net_if_information. */
enum ndisbridge_net_if_flags {
    NDISBRIDGE_NIIF_HARDWARE_INTERFACE = 0x00000001,
    NDISBRIDGE_NIIF_FILTER_INTERFACE = 0x00000002,
    NDISBRIDGE_NIIF_NDIS_RESERVED1 = 0x00000004,
    NDISBRIDGE_NIIF_NDIS_RESERVED2 = 0x00000008,
    NDISBRIDGE_NIIF_NDIS_RESERVED3 = 0x00000010,
    NDISBRIDGE_NIIF_NDIS_WDM_INTERFACE = 0x00000020,
    NDISBRIDGE_NIIF_NDIS_ENDPOINT_INTERFACE = 0x00000040,
    NDISBRIDGE_NIIF_NDIS_ISCSI_INTERFACE = 0x00000080,
    NDISBRIDGE_NIIF_NDIS_RESERVED4 = 0x00000100
};

/** Statistics that an interface can tell: NDIS_STATISTICS_*_SUPPORTED,
 *  supported_statistics of ndisbridge_net_if_information and of
 *  ndisbridge_interface_information. */
enum ndisbridge_statistics_supported {
    NDISBRIDGE_STATISTICS_XMIT_OK_SUPPORTED = 0x00000001,
    NDISBRIDGE_STATISTICS_RCV_OK_SUPPORTED = 0x00000002,
    NDISBRIDGE_STATISTICS_XMIT_ERROR_SUPPORTED = 0x00000004,
    NDISBRIDGE_STATISTICS_RCV_ERROR_SUPPORTED = 0x00000008,
    NDISBRIDGE_STATISTICS_RCV_NO_BUFFER_SUPPORTED = 0x00000010,
    NDISBRIDGE_STATISTICS_DIRECTED_BYTES_XMIT_SUPPORTED = 0x00000020,
    NDISBRIDGE_STATISTICS_DIRECTED_FRAMES_XMIT_SUPPORTED = 0x00000040,
    NDISBRIDGE_STATISTICS_MULTICAST_BYTES_XMIT_SUPPORTED = 0x00000080,
    NDISBRIDGE_STATISTICS_MULTICAST_FRAMES_XMIT_SUPPORTED = 0x00000100,
    NDISBRIDGE_STATISTICS_BROADCAST_BYTES_XMIT_SUPPORTED = 0x00000200,
    NDISBRIDGE_STATISTICS_BROADCAST_FRAMES_XMIT_SUPPORTED = 0x00000400,
    NDISBRIDGE_STATISTICS_DIRECTED_BYTES_RCV_SUPPORTED = 0x00000800,
    NDISBRIDGE_STATISTICS_DIRECTED_FRAMES_RCV_SUPPORTED = 0x00001000,
    NDISBRIDGE_STATISTICS_MULTICAST_BYTES_RCV_SUPPORTED = 0x00002000,
    NDISBRIDGE_STATISTICS_MULTICAST_FRAMES_RCV_SUPPORTED = 0x00004000,
    NDISBRIDGE_STATISTICS_BROADCAST_BYTES_RCV_SUPPORTED = 0x00008000,
    NDISBRIDGE_STATISTICS_BROADCAST_FRAMES_RCV_SUPPORTED = 0x00010000,
    NDISBRIDGE_STATISTICS_RCV_CRC_ERROR_SUPPORTED = 0x00020000,
    NDISBRIDGE_STATISTICS_TRANSMIT_QUEUE_LENGTH_SUPPORTED = 0x00040000,
    NDISBRIDGE_STATISTICS_BYTES_RCV_SUPPORTED = 0x00080000,
    NDISBRIDGE_STATISTICS_BYTES_XMIT_SUPPORTED = 0x00100000,
    NDISBRIDGE_STATISTICS_RCV_DISCARDS_SUPPORTED = 0x00200000,
    NDISBRIDGE_STATISTICS_GEN_STATISTICS_SUPPORTED = 0x00400000,
    NDISBRIDGE_STATISTICS_XMIT_DISCARDS_SUPPORTED = 0x08000000
};

/** Counters that are valid in an ndisbridge_statistics_info:
 *  NDIS_STATISTICS_FLAGS_VALID_*.  Same words as above, other bits. */
enum ndisbridge_statistics_flags_valid {
    NDISBRIDGE_STATISTICS_FLAGS_VALID_DIRECTED_FRAMES_RCV = 0x00000001,
    NDISBRIDGE_STATISTICS_FLAGS_VALID_MULTICAST_FRAMES_RCV = 0x00000002,
    NDISBRIDGE_STATISTICS_FLAGS_VALID_BROADCAST_FRAMES_RCV = 0x00000004,
    NDISBRIDGE_STATISTICS_FLAGS_VALID_BYTES_RCV = 0x00000008,
    NDISBRIDGE_STATISTICS_FLAGS_VALID_RCV_DISCARDS = 0x00000010,
    NDISBRIDGE_STATISTICS_FLAGS_VALID_RCV_ERROR = 0x00000020,
    NDISBRIDGE_STATISTICS_FLAGS_VALID_DIRECTED_FRAMES_XMIT = 0x00000040,
    NDISBRIDGE_STATISTICS_FLAGS_VALID_MULTICAST_FRAMES_XMIT = 0x00000080,
    NDISBRIDGE_STATISTICS_FLAGS_VALID_BROADCAST_FRAMES_XMIT = 0x00000100,
    NDISBRIDGE_STATISTICS_FLAGS_VALID_BYTES_XMIT = 0x00000200,
    NDISBRIDGE_STATISTICS_FLAGS_VALID_XMIT_ERROR = 0x00000400,
    NDISBRIDGE_STATISTICS_FLAGS_VALID_XMIT_DISCARDS = 0x00008000,
    NDISBRIDGE_STATISTICS_FLAGS_VALID_DIRECTED_BYTES_RCV = 0x00010000,
    NDISBRIDGE_STATISTICS_FLAGS_VALID_MULTICAST_BYTES_RCV = 0x00020000,
    NDISBRIDGE_STATISTICS_FLAGS_VALID_BROADCAST_BYTES_RCV = 0x00040000,
    NDISBRIDGE_STATISTICS_FLAGS_VALID_DIRECTED_BYTES_XMIT = 0x00080000,
    NDISBRIDGE_STATISTICS_FLAGS_VALID_MULTICAST_BYTES_XMIT = 0x00100000,
    NDISBRIDGE_STATISTICS_FLAGS_VALID_BROADCAST_BYTES_XMIT = 0x00200000
};

/** As a member of ndisbridge_net_physical_location, or as wan_tunnel_type:
 *  not known. */
#define NDISBRIDGE_NIIF_BUS_NUMBER_UNKNOWN 0xFFFFFFFF
#define NDISBRIDGE_NIIF_FUNCTION_NUMBER_UNKNOWN 0xFFFFFFFF
#define NDISBRIDGE_NIIF_SLOT_NUMBER_UNKNOWN 0xFFFFFFFF
#define NDISBRIDGE_NIIF_WAN_TUNNEL_TYPE_UNKNOWN 0xFFFFFFFF
/* generated: end constants */

/* ------------------------------------------------------------------------
 * Structures.  Those with an NDIS, ifdef.h or netioapi.h counterpart have
 * its layout on 64-bit ABIs, byte for byte; lengths are in bytes, strings
 * UTF-16 in the host's byte order.
 */

/** NET_LUID: IfType << 48 | NET_LUID index << 24; the low 24 bits are 0. */
typedef uint64_t ndisbridge_net_luid;

/** One session: the whole state of the library for one store.  Opaque. */
typedef struct ndisbridge_session ndisbridge_session;

/** Handle of a registered interface provider; 0 is none.  A stale handle is
 *  refused, never followed. */
typedef uint64_t ndisbridge_provider;

/** NDIS_OBJECT_HEADER. */
typedef struct ndisbridge_object_header {
    uint8_t type;      /* NDISBRIDGE_OBJECT_TYPE_DEFAULT */
    uint8_t revision;  /* NDISBRIDGE_OBJECT_REVISION_1 */
    uint16_t size;     /* sizeof the structure */
} ndisbridge_object_header;

/** GUID, in the memory order of Windows. */
typedef struct ndisbridge_guid {
    uint32_t data1;
    uint16_t data2;
    uint16_t data3;
    uint8_t data4[8];
} ndisbridge_guid;

/** IF_COUNTED_STRING. */
typedef struct ndisbridge_if_counted_string {
    uint16_t length;       /* bytes in use, even, 0 .. 512 */
    uint16_t string[257];
} ndisbridge_if_counted_string;

/** IF_PHYSICAL_ADDRESS. */
typedef struct ndisbridge_if_physical_address {
    uint16_t length;  /* 0 .. 32 */
    uint8_t address[32];
} ndisbridge_if_physical_address;

/** NET_PHYSICAL_LOCATION; 0xFFFFFFFF where unknown. */
typedef struct ndisbridge_net_physical_location {
    uint32_t bus_number;
    uint32_t slot_number;
    uint32_t function_number;
} ndisbridge_net_physical_location;

/** NET_IF_RCV_ADDRESS. */
typedef struct ndisbridge_net_if_rcv_address {
    uint32_t if_rcv_address_type;
    uint16_t if_rcv_address_length;
    uint16_t if_rcv_address_offset;
} ndisbridge_net_if_rcv_address;

/** NET_IF_ALIAS. */
typedef struct ndisbridge_net_if_alias {
    uint16_t if_alias_length;
    uint16_t if_alias_offset;
} ndisbridge_net_if_alias;

/** NET_IF_INFORMATION: what stays constant while an interface is
 *  registered.  Addresses and name follow it in the same block of memory,
 *  at the offsets given, counted from the start of the structure. */
typedef struct ndisbridge_net_if_information {
    ndisbridge_object_header header;
    uint32_t flags;  /* NIIF_* bits */
    ndisbridge_net_physical_location physical_location;
    uint32_t wan_tunnel_type;  /* 0xFFFFFFFF unknown */
    uint32_t port_number;      /* 0 is the default port */
    uint32_t access_type;      /* NET_IF_ACCESS_TYPE */
    uint32_t direction_type;   /* NET_IF_DIRECTION_TYPE */
    uint32_t connection_type;  /* NET_IF_CONNECTION_TYPE */
    uint8_t if_connector_present;  /* 1 where there is real hardware */
    uint16_t phys_address_length;  /* of each of the two addresses, 0..32 */
    uint16_t phys_address_offset;
    uint16_t permanent_phys_address_offset;
    uint16_t friendly_name_length;  /* bytes, even, 0 .. 512; ifDescr */
    uint16_t friendly_name_offset;
    ndisbridge_guid interface_guid;  /* lasts as long as the NET_LUID */
    ndisbridge_guid network_guid;    /* zero: default network */
    uint32_t supported_statistics;   /* NDIS_STATISTICS_*_SUPPORTED bits */
    uint32_t media_type;             /* NDIS_MEDIUM */
    uint32_t physical_medium_type;   /* NDIS_PHYSICAL_MEDIUM */
} ndisbridge_net_if_information;

/** NDIS_INTERFACE_INFORMATION, the answer to OID_GEN_INTERFACE_INFO.
 *  Speeds in bit/s, times in ms since the machine started. */
typedef struct ndisbridge_interface_information {
    uint32_t if_oper_status;        /* NET_IF_OPER_STATUS */
    uint32_t if_oper_status_flags;  /* 0, but for the proxy provider */
    uint32_t media_connect_state;   /* NET_IF_MEDIA_CONNECT_STATE */
    uint32_t media_duplex_state;    /* NET_IF_MEDIA_DUPLEX_STATE */
    uint32_t if_mtu;                /* bytes, without link header */
    uint8_t if_promiscuous_mode;
    uint8_t if_device_wake_up_enable;
    uint64_t xmit_link_speed;
    uint64_t rcv_link_speed;
    uint64_t if_last_change;
    uint64_t if_counter_discontinuity_time;
    uint64_t if_in_unknown_protos;
    uint64_t if_in_discards;
    uint64_t if_in_errors;
    uint64_t if_hc_in_octets;
    uint64_t if_hc_in_ucast_pkts;
    uint64_t if_hc_in_multicast_pkts;
    uint64_t if_hc_in_broadcast_pkts;
    uint64_t if_hc_out_octets;
    uint64_t if_hc_out_ucast_pkts;
    uint64_t if_hc_out_multicast_pkts;
    uint64_t if_hc_out_broadcast_pkts;
    uint64_t if_out_errors;
    uint64_t if_out_discards;
    uint64_t if_hc_in_ucast_octets;
    uint64_t if_hc_in_multicast_octets;
    uint64_t if_hc_in_broadcast_octets;
    uint64_t if_hc_out_ucast_octets;
    uint64_t if_hc_out_multicast_octets;
    uint64_t if_hc_out_broadcast_octets;
    uint32_t compartment_id;        /* 0: unspecified */
    uint32_t supported_statistics;  /* NDIS_STATISTICS_*_SUPPORTED bits */
} ndisbridge_interface_information;

/** NDIS_STATISTICS_INFO, the answer to OID_GEN_STATISTICS. */
typedef struct ndisbridge_statistics_info {
    ndisbridge_object_header header;
    uint32_t supported_statistics;  /* NDIS_STATISTICS_FLAGS_VALID_* bits */
    uint64_t if_in_discards;
    uint64_t if_in_errors;
    uint64_t if_hc_in_octets;
    uint64_t if_hc_in_ucast_pkts;
    uint64_t if_hc_in_multicast_pkts;
    uint64_t if_hc_in_broadcast_pkts;
    uint64_t if_hc_out_octets;
    uint64_t if_hc_out_ucast_pkts;
    uint64_t if_hc_out_multicast_pkts;
    uint64_t if_hc_out_broadcast_pkts;
    uint64_t if_out_errors;
    uint64_t if_out_discards;
    uint64_t if_hc_in_ucast_octets;
    uint64_t if_hc_in_multicast_octets;
    uint64_t if_hc_in_broadcast_octets;
    uint64_t if_hc_out_ucast_octets;
    uint64_t if_hc_out_multicast_octets;
    uint64_t if_hc_out_broadcast_octets;
} ndisbridge_statistics_info;

/** NDIS_LINK_SPEED, in bit/s. */
typedef struct ndisbridge_link_speed {
    uint64_t xmit_link_speed;
    uint64_t rcv_link_speed;
} ndisbridge_link_speed;

/** NDIS_LINK_STATE. */
typedef struct ndisbridge_link_state {
    ndisbridge_object_header header;
    uint32_t media_connect_state;
    uint32_t media_duplex_state;
    uint64_t xmit_link_speed;
    uint64_t rcv_link_speed;
    uint32_t pause_functions;
    uint32_t auto_negotiation_flags;
} ndisbridge_link_state;

/** NDIS_OPER_STATE. */
typedef struct ndisbridge_oper_state {
    ndisbridge_object_header header;
    uint32_t operational_status;
    uint32_t operational_status_flags;
} ndisbridge_oper_state;

/** NDIS_IP_OPER_STATUS. */
typedef struct ndisbridge_ip_oper_status {
    uint32_t address_family;
    uint32_t operational_status;
    uint32_t operational_status_flags;
} ndisbridge_ip_oper_status;

/** NDIS_IP_OPER_STATUS_INFO. */
typedef struct ndisbridge_ip_oper_status_info {
    ndisbridge_object_header header;
    uint32_t flags;
    uint32_t numberof_address_families_returned;
    ndisbridge_ip_oper_status ip_operational_status[32];
} ndisbridge_ip_oper_status_info;

/** NDIS_MINIPORT_INIT_PARAMETERS: what a miniport is told of itself. */
typedef struct ndisbridge_miniport_init_parameters {
    ndisbridge_object_header header;
    uint32_t flags;
    void *allocated_resources;
    void *im_device_instance_context;
    void *miniport_add_device_context;
    uint32_t if_index;
    ndisbridge_net_luid net_luid;
    void *default_port_auth_states;
    void *pci_device_custom_properties;
} ndisbridge_miniport_init_parameters;

/** MIB_IF_ROW2: one interface as GetIfTable2 shows it. */
typedef struct ndisbridge_mib_if_row2 {
    ndisbridge_net_luid interface_luid;
    uint32_t interface_index;
    ndisbridge_guid interface_guid;
    uint16_t alias[257];        /* NUL-terminated */
    uint16_t description[257];  /* NUL-terminated */
    uint32_t physical_address_length;
    uint8_t physical_address[32];
    uint8_t permanent_physical_address[32];
    uint32_t mtu;
    uint32_t type;  /* IANA ifType */
    uint32_t tunnel_type;
    uint32_t media_type;
    uint32_t physical_medium_type;
    uint32_t access_type;
    uint32_t direction_type;
    /** Bit 0 up: HardwareInterface, FilterInterface, ConnectorPresent,
     *  NotAuthenticated, NotMediaConnected, Paused, LowPower,
     *  EndPointInterface. */
    uint8_t interface_and_oper_status_flags;
    uint32_t oper_status;
    uint32_t admin_status;
    uint32_t media_connect_state;
    ndisbridge_guid network_guid;
    uint32_t connection_type;
    uint64_t transmit_link_speed;  /* bit/s; 0 unknown */
    uint64_t receive_link_speed;
    uint64_t in_octets;
    uint64_t in_ucast_pkts;
    uint64_t in_nucast_pkts;
    uint64_t in_discards;
    uint64_t in_errors;
    uint64_t in_unknown_protos;
    uint64_t in_ucast_octets;
    uint64_t in_multicast_octets;
    uint64_t in_broadcast_octets;
    uint64_t out_octets;
    uint64_t out_ucast_pkts;
    uint64_t out_nucast_pkts;
    uint64_t out_discards;
    uint64_t out_errors;
    uint64_t out_ucast_octets;
    uint64_t out_multicast_octets;
    uint64_t out_broadcast_octets;
    uint64_t out_qlen;
} ndisbridge_mib_if_row2;

/** MIB_IF_TABLE2, for readers written against netioapi.h. */
typedef struct ndisbridge_mib_if_table2 {
    uint32_t num_entries;
    ndisbridge_mib_if_row2 table[1];
} ndisbridge_mib_if_table2;

/** MIB_IFSTACK_ROW: the higher interface runs on the lower one. */
typedef struct ndisbridge_mib_ifstack_row {
    uint32_t higher_layer_interface_index;
    uint32_t lower_layer_interface_index;
} ndisbridge_mib_ifstack_row;

/** MIB_IFSTACK_TABLE. */
typedef struct ndisbridge_mib_ifstack_table {
    uint32_t num_entries;
    ndisbridge_mib_ifstack_row table[1];
} ndisbridge_mib_ifstack_table;

/** MIB_INVERTEDIFSTACK_ROW (RFC 2864). */
typedef struct ndisbridge_mib_invertedifstack_row {
    uint32_t lower_layer_interface_index;
    uint32_t higher_layer_interface_index;
} ndisbridge_mib_invertedifstack_row;

/* ------------------------------------------------------------------------
 * Handlers
 */

/** Answers an OID query for one interface (ProviderQueryObject).
 *
 *  @param provider_if_context   as given to ndisbridge_register_interface()
 *  @param object_id             the OID
 *  @param output_buffer_length  in: bytes that fit; out: bytes written, or
 *                               bytes needed (more than fit) with
 *                               BUFFER_TOO_SHORT, INVALID_LENGTH or NDIS's
 *                               BUFFER_OVERFLOW (0x80000005)
 *  @param output_buffer         aligned for any type; may be NULL when
 *                               nothing fits
 *  @return SUCCESS or a failure, which the asker gets unchanged; PENDING is
 *          not allowed.
 *
 *  Called on the asking thread with no lock held, possibly on many threads
 *  at once, for one interface too.  It may call any function of the session,
 *  but cannot deregister its own interface (IN_OWN_HANDLER).
 *  Counterpart: IF_QUERY_OBJECT.
 */
typedef ndisbridge_status (*ndisbridge_if_query_object)(
    void *provider_if_context, uint32_t object_id,
    uint32_t *output_buffer_length, void *output_buffer);

/** Sets an OID of one interface (ProviderSetObject); rules as for queries.
 *  Counterpart: IF_SET_OBJECT. */
typedef ndisbridge_status (*ndisbridge_if_set_object)(
    void *provider_if_context, uint32_t object_id,
    uint32_t input_buffer_length, const void *input_buffer);

/** NDIS_IF_PROVIDER_CHARACTERISTICS. */
typedef struct ndisbridge_if_provider_characteristics {
    ndisbridge_object_header header;
    ndisbridge_if_query_object query_object_handler;
    ndisbridge_if_set_object set_object_handler;  /* may be NULL */
    void *reserved1;  /* NULL */
    void *reserved2;  /* NULL */
} ndisbridge_if_provider_characteristics;

enum ndisbridge_handler_flags {
    /** The handler neither blocks nor calls the session: callers that hold a
     *  lock of their own, such as Python's, may run it without letting go. */
    NDISBRIDGE_HANDLER_NON_BLOCKING = 1
};

/** One OID that a provider answers by a function of its own, instead of by
 *  query_object_handler / set_object_handler. */
typedef struct ndisbridge_oid_handler {
    uint32_t object_id;
    uint32_t flags;                    /* NDISBRIDGE_HANDLER_*, of query */
    ndisbridge_if_query_object query;  /* may be NULL */
    ndisbridge_if_set_object set;      /* may be NULL */
} ndisbridge_oid_handler;

/* ------------------------------------------------------------------------
 * Miniport drivers
 *
 * What a driver in C gives to a proxy provider, which registers the
 * interfaces of its adapters.  The proxy provider is the Python package's
 * (ndisbridge.proxy); a C program that has no use for it registers a provider
 * of its own.
 */

/** Statuses that are indicated upwards, from an adapter to what runs on
 *  it. */
enum ndisbridge_status_indication {
    /** The link has changed; by miniport drivers, with an
     *  ndisbridge_link_state. */
    NDISBRIDGE_STATUS_LINK_STATE = 0x40010017,
    /** The operational status has changed; by the proxy provider alone, with
     *  an ndisbridge_oper_state. */
    NDISBRIDGE_STATUS_OPER_STATUS = 0x40010023
};

/** Indicates a status of an adapter.
 *
 *  @param miniport_adapter_handle  as given to the driver
 *  @param status_code              NDISBRIDGE_STATUS_LINK_STATE, or one that
 *                                  only those above know
 *  @param status_buffer            what belongs to it, copied
 *  @param status_buffer_size       bytes of it
 *
 *  @retval INVALID_PARAMETER  no such link state; or OPER_STATUS, which
 *                             drivers must not make
 *  @retval INVALID_STATE      the adapter has been halted
 *
 *  Threads:      any thread, also in the driver's functions.
 *  Counterpart:  NdisMIndicateStatusEx.
 */
typedef ndisbridge_status (*ndisbridge_indicate_status)(
    void *miniport_adapter_handle, uint32_t status_code,
    const void *status_buffer, uint32_t status_buffer_size);

/** What a driver says of its adapter
 *  (NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES).  Speeds are in bit/s. */
typedef struct ndisbridge_miniport_general_attributes {
    ndisbridge_object_header header;
    uint32_t media_type;            /* NDIS_MEDIUM */
    uint32_t physical_medium_type;  /* NDIS_PHYSICAL_MEDIUM */
    uint32_t mtu_size;              /* bytes, without link header */
    uint64_t max_xmit_link_speed;
    uint64_t xmit_link_speed;
    uint64_t max_rcv_link_speed;
    uint64_t rcv_link_speed;
    uint32_t media_connect_state;      /* NET_IF_MEDIA_CONNECT_STATE */
    uint32_t media_duplex_state;       /* NET_IF_MEDIA_DUPLEX_STATE */
    uint32_t lookahead_size;           /* bytes; 0: the driver is asked */
    uint32_t mac_options;              /* 0: the driver is asked */
    uint32_t max_multicast_list_size;  /* 0: the driver is asked */
    uint16_t mac_address_length;       /* bytes of both addresses */
    uint8_t permanent_mac_address[32];
    uint8_t current_mac_address[32];
    uint32_t access_type;      /* NET_IF_ACCESS_TYPE */
    uint32_t direction_type;   /* NET_IF_DIRECTION_TYPE */
    uint32_t connection_type;  /* NET_IF_CONNECTION_TYPE */
    uint16_t if_type;          /* as installed; another one is refused */
    uint8_t if_connector_present;  /* BOOLEAN */
    uint32_t supported_statistics;  /* NDISBRIDGE_STATISTICS_*_SUPPORTED */
    uint32_t supported_pause_functions;  /* NDIS_SUPPORTED_PAUSE_FUNCTIONS */
    uint32_t auto_negotiation_flags;
    /** OIDs that the driver answers, copied; NULL: the driver is asked. */
    const uint32_t *supported_oid_list;
    uint32_t supported_oid_list_length;  /* bytes */
} ndisbridge_miniport_general_attributes;

/** Initializes an adapter; its interface is registered afterwards.
 *
 *  @param[out]    miniport_adapter_context  passed to the other functions;
 *                                           in: the driver context
 *  @param         miniport_driver_context   as given with the driver
 *  @param         miniport_adapter_handle   for indicate_status; valid until
 *                                           the halt handler has returned
 *  @param         indicate_status           may be called from now on
 *  @param         parameters                if_index and net_luid, the others
 *                                           0; valid during the call
 *  @param[in,out] attributes                filled with what is usual
 *  @return SUCCESS, or why it failed: the adapter is not installed then, and
 *          not halted.
 *
 *  Counterpart:  MiniportInitializeEx.
 */
typedef ndisbridge_status (*ndisbridge_miniport_initialize)(
    void **miniport_adapter_context, void *miniport_driver_context,
    void *miniport_adapter_handle,
    ndisbridge_indicate_status indicate_status,
    const ndisbridge_miniport_init_parameters *parameters,
    ndisbridge_miniport_general_attributes *attributes);

/** Ends an adapter, when nobody is inside its other functions any more.
 *  Counterpart: MiniportHaltEx. */
typedef void (*ndisbridge_miniport_halt)(void *miniport_adapter_context);

/** A miniport driver (NDIS_MINIPORT_DRIVER_CHARACTERISTICS).  Where no filter
 *  module is interested in an OID, the proxy's interfaces call
 *  oid_query_handler itself, without a detour through Python. */
typedef struct ndisbridge_miniport_driver_characteristics {
    ndisbridge_object_header header;
    uint32_t flags;  /* NDISBRIDGE_HANDLER_*, of oid_query_handler */
    ndisbridge_miniport_initialize initialize_handler;  /* may be NULL */
    ndisbridge_miniport_halt halt_handler;              /* may be NULL */
    ndisbridge_if_query_object oid_query_handler;       /* may be NULL */
    ndisbridge_if_set_object oid_set_handler;           /* may be NULL */
} ndisbridge_miniport_driver_characteristics;

/* ------------------------------------------------------------------------
 * Persistence hooks and configuration
 */

/** 4,096 NET_LUID indexes of one block, bit i & 63 of word i >> 6 for the
 *  index block * 4096 + i. */
typedef struct ndisbridge_block_mask {
    uint32_t block;  /* 0 .. 4095 */
    uint32_t reserved;
    uint64_t mask[64];
} ndisbridge_block_mask;

/** Indexes of one IfType, by block, ascending. */
typedef struct ndisbridge_index_set {
    uint16_t if_type;  /* 0: ifIndexes that the library hands out */
    uint16_t reserved;
    uint32_t block_count;
    const ndisbridge_block_mask *blocks;
} ndisbridge_index_set;

/** Where identity lasts.  Each hook is called with no lock held and may
 *  block; several may run at once.  A hook that calls back into its session
 *  gets INVALID_STATE.  Hooks come in pairs (lease and return, retain and
 *  release, confirm and unconfirm).  A NULL pair does what a session without
 *  a store does: every block can be leased, retaining succeeds and lasts as
 *  long as the session.
 */
typedef struct ndisbridge_persistence_hooks {
    ndisbridge_object_header header;
    uint32_t reserved;
    /** First argument of every hook. */
    void *context;
    /** Leases up to *count blocks numbered lowest .. highest that nobody
     *  holds, lowest first; writes each with its retained indexes, sets
     *  *count.  RESOURCES when there is none, IN_USE when lowest == highest
     *  and another session has it. */
    ndisbridge_status (*lease_blocks)(
        void *context, ndisbridge_block_mask *leases, uint32_t *count,
        uint16_t if_type, uint32_t lowest, uint32_t highest);
    /** Gives leased blocks back. */
    ndisbridge_status (*return_blocks)(
        void *context, uint16_t if_type, const uint32_t *blocks,
        uint32_t count);
    /** Makes indexes durable, all or none, with what record says of them
     *  (the record given to ndisbridge_retain(), NULL for none). */
    ndisbridge_status (*retain)(
        void *context, const ndisbridge_index_set *sets, uint32_t set_count,
        uint32_t flags, void *record);
    /** Gives retained indexes up for good, all or none. */
    ndisbridge_status (*release)(
        void *context, const ndisbridge_index_set *sets, uint32_t set_count,
        uint32_t flags, void *record);
    /** Marks retained NET_LUIDs as in use by this session, all or none.
     *  INVALID_PARAMETER when one is not retained, or if_indexes[i] is
     *  another identity's; IN_USE when another session uses one. */
    ndisbridge_status (*confirm)(
        void *context, const ndisbridge_net_luid *net_luids,
        const uint32_t *if_indexes, uint32_t count);
    /** Takes the in-use marks off. */
    ndisbridge_status (*unconfirm)(
        void *context, const ndisbridge_net_luid *net_luids,
        uint32_t count);
} ndisbridge_persistence_hooks;

/** How ifIndexes are chosen that nobody asked for. */
enum ndisbridge_if_index_policy {
    /** An identity keeps its ifIndex; a freed one comes round as late as
     *  can be (stricter than RFC 2863 3.1.5). */
    NDISBRIDGE_IF_INDEX_POLICY_STICKY = 0,
    /** The lowest free one, as NDIS documents. */
    NDISBRIDGE_IF_INDEX_POLICY_LOWEST = 1
};

/** Configuration of a session.  Zero every member that you don't set. */
typedef struct ndisbridge_session_config {
    ndisbridge_object_header header;
    uint32_t if_index_policy;  /* ndisbridge_if_index_policy */
    uint32_t if_index_first;   /* lowest handed out; 0 means 1 */
    uint32_t wait_timeout_ms;  /* of every wait; 0 means 12000 */
    /** Persistence hooks, copied; NULL: nothing outlives the session. */
    const ndisbridge_persistence_hooks *hooks;
    /** Memory: allocate returns zeroed memory aligned to 64 bytes or NULL,
     *  deallocate gets the same size.  Both NULL: the system's.  Called
     *  from any thread. */
    void *(*allocate)(void *memory_context, size_t size);
    void (*deallocate)(void *memory_context, void *memory, size_t size);
    void *memory_context;
} ndisbridge_session_config;

/* ------------------------------------------------------------------------
 * Library
 */

/** Version of the library, "MAJOR.MINOR.PATCH".  Threads: any. */
const char *ndisbridge_version(void);

/** Name of a status, such as "NDIS_STATUS_RESOURCES"; never NULL.
 *  Threads: any thread. */
const char *ndisbridge_status_string(ndisbridge_status status);

/* ------------------------------------------------------------------------
 * Sessions
 */

/** Creates a session.
 *
 *  @param[out] session  the new session
 *  @param      config   NULL for the defaults; copied
 *
 *  @retval RESOURCES          no memory
 *  @retval NOT_SUPPORTED      unknown revision of a structure
 *  @retval INVALID_PARAMETER  a member has no such value
 *
 *  Ownership:    the caller's, until ndisbridge_session_destroy().
 *  Threads:      any thread.
 *  Cost:         about 20 KiB, plus address space that fills with use.
 *  Counterpart:  none (NDIS itself).
 */
ndisbridge_status ndisbridge_session_create(
    ndisbridge_session **session, const ndisbridge_session_config *config);

/** Ends a session: new calls are refused (INVALID_STATE), running handlers
 *  are waited for, interfaces and providers deregistered, in-use marks and
 *  leases given back through the hooks.
 *
 *  @param session     session
 *  @param timeout_ms  ms to wait for handlers, or NDISBRIDGE_TIMEOUT_DEFAULT
 *
 *  @retval TIMEOUT        a handler still runs; call again to go on waiting
 *  @retval INVALID_STATE  closed already, or called from a hook or handler
 *
 *  Threads:      any thread.
 *  Counterpart:  none.
 */
ndisbridge_status ndisbridge_session_close(
    ndisbridge_session *session, uint32_t timeout_ms);

/** Frees a session, closing it first if need be.  NULL is allowed.  A
 *  session with a handler still inside after the default timeout is leaked.
 *
 *  @retval TIMEOUT        leaked, as above
 *  @retval INVALID_STATE  called from a hook or a handler: nothing is freed
 *
 *  Threads:      exclusive; in a forked child any thread.
 *  Counterpart:  none.
 */
ndisbridge_status ndisbridge_session_destroy(ndisbridge_session *session);

/* ------------------------------------------------------------------------
 * NET_LUID values
 */

/** Makes a NET_LUID.
 *
 *  @param[out] net_luid        the value
 *  @param      if_type         IANA ifType, 1 .. 65535
 *  @param      net_luid_index  0 .. NDISBRIDGE_NET_LUID_INDEX_MAX
 *
 *  @retval INVALID_PARAMETER  out of range, or net_luid is NULL
 *
 *  Threads:      any thread.
 *  Counterpart:  NDIS_MAKE_NET_LUID, which does not check the range.
 */
ndisbridge_status ndisbridge_make_net_luid(
    ndisbridge_net_luid *net_luid, uint32_t if_type,
    uint32_t net_luid_index);

/** IfType of a NET_LUID.  Threads: any thread. */
uint16_t ndisbridge_net_luid_if_type(ndisbridge_net_luid net_luid);

/** NET_LUID index of a NET_LUID.  Threads: any thread. */
uint32_t ndisbridge_net_luid_index(ndisbridge_net_luid net_luid);

/** Writes the ifName of a NET_LUID, such as "ethernet_32768".
 *
 *  @param[out]    name      NUL-terminated ASCII
 *  @param[in,out] size      in: bytes that fit
 *                           (NDISBRIDGE_NET_LUID_NAME_SIZE always do);
 *                           out: bytes with the NUL, also when too short
 *  @param         net_luid  a NET_LUID; its low 24 bits must be 0
 *
 *  @retval INVALID_PARAMETER  not a NET_LUID, or a NULL pointer
 *  @retval BUFFER_TOO_SHORT   size says how much is needed
 *
 *  Threads:      any thread.
 *  Counterpart:  ConvertInterfaceLuidToName; ifName.
 */
ndisbridge_status ndisbridge_net_luid_to_name(
    char *name, uint32_t *size, ndisbridge_net_luid net_luid);

/** Parses an ifName; case does not matter.  The interface need not exist.
 *
 *  @param[out] net_luid  the value; 0 on failure
 *  @param      name      NUL-terminated
 *
 *  @retval INVALID_PARAMETER  not such a name, or out of range
 *
 *  Threads:      any thread.
 *  Counterpart:  ConvertInterfaceNameToLuid.
 */
ndisbridge_status ndisbridge_net_luid_from_name(
    ndisbridge_net_luid *net_luid, const char *name);

/* ------------------------------------------------------------------------
 * NET_LUID indexes
 *
 * An allocated index belongs to its session until it is freed, retained, or
 * the session ends, in whatever way (unlike NDIS, where the result of
 * NdisIfAllocateNetLuidIndex is durable at once and leaks if the program
 * dies before it has noted it).
 */

/** Allocates a NET_LUID index.
 *
 *  It differs from every index of the type that is allocated here, retained,
 *  or leased by another session of the store.  No order is promised.
 *
 *  @param      session         session
 *  @param[out] net_luid_index  0 .. NDISBRIDGE_NET_LUID_INDEX_MAX
 *  @param      if_type         IANA ifType, 1 .. 65535
 *
 *  @retval RESOURCES          every index is taken, or no memory
 *  @retval INVALID_PARAMETER  if_type is 0, or a pointer is NULL
 *  @retval TIMEOUT            a lease was needed, and another thread's hook
 *                             that it waits for (see Threads) took longer
 *                             than config's wait_timeout_ms
 *  @retval other              what the lease hook said
 *
 *  Ownership:    a number, freed by value.
 *  Threads:      any thread; lock-free but for a lease.  A lease waits for
 *                releases by other threads of indexes in blocks that are not
 *                leased here, and before it answers RESOURCES for their
 *                leases and trims: only for those that began before.
 *  Cost:         one atomic AND; a lease now and then; worst case a scan of
 *                the leased blocks.
 *  Counterpart:  NdisIfAllocateNetLuidIndex.
 */
ndisbridge_status ndisbridge_allocate_net_luid_index(
    ndisbridge_session *session, uint32_t *net_luid_index,
    uint16_t if_type);

/** Allocates one index where that needs neither a lease nor a scan; PENDING
 *  otherwise.  As ndisbridge_allocate_net_luid_index() in the rest. */
ndisbridge_status ndisbridge_try_allocate_net_luid_index(
    ndisbridge_session *session, uint32_t *net_luid_index,
    uint16_t if_type);

/** Allocates many indexes, all or none; whole words of 64 at a time.
 *
 *  Not atomic: an index counts as taken from when it is found, also if the
 *  call then fails and frees it again.
 *
 *  @param[out] net_luid_indexes  count numbers, also written on failure
 *  @param      count             0 .. 0x1000000
 *
 *  Statuses, Threads as for one.
 *  Cost:         about a nanosecond an index in an empty space.
 *  Counterpart:  NdisIfAllocateNetLuidIndex, many times.
 */
ndisbridge_status ndisbridge_allocate_net_luid_indexes(
    ndisbridge_session *session, uint32_t *net_luid_indexes,
    uint32_t count, uint16_t if_type);

/** Allocates many indexes where that needs neither a lease nor a scan; PENDING
 *  otherwise, also if there are too few.  As
 *  ndisbridge_allocate_net_luid_indexes() in the rest. */
ndisbridge_status ndisbridge_try_allocate_net_luid_indexes(
    ndisbridge_session *session, uint32_t *net_luid_indexes,
    uint32_t count, uint16_t if_type);

/** Takes a given index, for interfaces that live as long as the session.
 *
 *  @retval IN_USE             it is allocated or retained, or its block is
 *                             leased by another session
 *  @retval INVALID_PARAMETER  if_type is 0 or net_luid_index out of range
 *  @retval other              what the lease hook said; TIMEOUT as for
 *                             ndisbridge_allocate_net_luid_index()
 *
 *  Threads:      any thread.
 *  Counterpart:  none.
 */
ndisbridge_status ndisbridge_claim_net_luid_index(
    ndisbridge_session *session, uint16_t if_type,
    uint32_t net_luid_index);

/** Frees an allocated index.
 *
 *  @retval INVALID_PARAMETER  it is not allocated here: never was, is freed
 *                             already, is retained, has another IfType, or
 *                             is the NET_LUID of a registered interface
 *
 *  Threads:      any thread; lock-free.  Freeing an index twice at once is
 *                caught; freeing it while another thread retains, registers
 *                or trims it is a program error that is not.
 *  Cost:         one atomic OR.
 *  Counterpart:  NdisIfFreeNetLuidIndex.
 */
ndisbridge_status ndisbridge_free_net_luid_index(
    ndisbridge_session *session, uint16_t if_type,
    uint32_t net_luid_index);

/** Frees many indexes.  Those that are not allocated are left alone, the
 *  rest is freed.
 *
 *  @param[out] freed  how many were freed; may be NULL; always written
 *  @param      net_luid_indexes  count numbers, in any order
 *
 *  @retval INVALID_PARAMETER  one or more were not allocated here
 *
 *  Threads:      any thread; lock-free.
 *  Cost:         one atomic OR per run of indexes in the same 64.
 *  Counterpart:  NdisIfFreeNetLuidIndex, many times.
 */
ndisbridge_status ndisbridge_free_net_luid_indexes(
    ndisbridge_session *session, uint32_t *freed, uint16_t if_type,
    const uint32_t *net_luid_indexes, uint32_t count);

/** What this session knows of an index. */
enum ndisbridge_index_state {
    /** Its block is not leased here: it may be anything. */
    NDISBRIDGE_INDEX_UNLEASED = 0,
    NDISBRIDGE_INDEX_FREE = 1,
    NDISBRIDGE_INDEX_ALLOCATED = 2,
    /** Retained, or held by a registered interface. */
    NDISBRIDGE_INDEX_RETAINED = 3
};

/** Tells what this session knows of an index, at one moment.
 *
 *  @param[out] state  ndisbridge_index_state
 *
 *  Threads:      any thread; lock-free.
 *  Counterpart:  none.
 */
ndisbridge_status ndisbridge_test_net_luid_index(
    ndisbridge_session *session, uint32_t *state, uint16_t if_type,
    uint32_t net_luid_index);

/** Counts of one IfType in this session; exact when nobody else allocates
 *  or frees meanwhile. */
typedef struct ndisbridge_index_counts {
    uint32_t leased_blocks;  /* blocks of 4,096 leased here */
    uint32_t free;           /* indexes that can be had without a lease */
    uint32_t allocated;      /* handed out, neither freed nor retained */
    uint32_t retained;       /* retained, or held by an interface */
} ndisbridge_index_counts;

/** Counts the indexes of one IfType.
 *  Threads: any thread.  Cost: reads 1 KiB per leased block. */
ndisbridge_status ndisbridge_count_net_luid_indexes(
    ndisbridge_session *session, ndisbridge_index_counts *counts,
    uint16_t if_type);

/** Gives blocks in which nothing is allocated back to the store, but for
 *  one of each IfType.  Free never does.
 *
 *  @param[out] returned  number of blocks; may be NULL
 *
 *  @retval TIMEOUT  the release of another thread takes too long
 *  @retval other    what the return hook said; its blocks stay leased
 *
 *  Threads:      any thread; an allocation that finds nothing else waits
 *                for it.
 *  Counterpart:  none.
 */
ndisbridge_status ndisbridge_trim(
    ndisbridge_session *session, uint32_t *returned);

/* ------------------------------------------------------------------------
 * Retained indexes
 */

enum ndisbridge_retain_flags {
    /** The record belongs to this session and ends with it: the indexes are
     *  held here, and nothing durable is written. */
    NDISBRIDGE_RETAIN_NON_PERSISTENT = 1
};

/** Makes allocated indexes durable, all or none, in one call of the retain
 *  hook.
 *
 *  @param net_luid_indexes  count indexes allocated here, each once
 *  @param if_index          an ifIndex of ndisbridge_allocate_if_index() to
 *                           retain with them, or 0
 *  @param flags             NDISBRIDGE_RETAIN_*
 *  @param record            passed to the hook
 *
 *  @retval INVALID_PARAMETER  one is not allocated here, or is given twice
 *  @retval RESOURCES          no memory
 *  @retval other              what the hook said; all are allocated as
 *                             before
 *
 *  Threads:      any thread.
 *  Cost:         one bit per index, 520 bytes per block, and the hook.
 *  Counterpart:  the durable half of NdisIfAllocateNetLuidIndex.
 */
ndisbridge_status ndisbridge_retain(
    ndisbridge_session *session, uint16_t if_type,
    const uint32_t *net_luid_indexes, uint32_t count, uint32_t if_index,
    uint32_t flags, void *record);

/** Makes allocated NET_LUIDs of any IfTypes durable, all or none, in one
 *  call of the retain hook.
 *
 *  @param net_luids  count NET_LUIDs whose indexes are allocated here, each
 *                    once
 *  @param count      1 .. NDISBRIDGE_NET_LUID_INDEX_MAX
 *
 *  @retval INVALID_PARAMETER  one is not allocated here, is no NET_LUID, or
 *                             is given twice
 *
 *  Other arguments and statuses, Threads as for ndisbridge_retain().
 *  Cost:         a sort of the NET_LUIDs, 520 bytes per block, and the hook.
 */
ndisbridge_status ndisbridge_retain_net_luids(
    ndisbridge_session *session, const ndisbridge_net_luid *net_luids,
    uint32_t count, uint32_t flags, void *record);

/** Gives retained indexes up for good, all or none, in one call of the
 *  release hook.  They need not be leased here; another session that leases
 *  their block can allocate them once it has leased it anew.
 *
 *  @param flags  those that they were retained with
 *
 *  @retval IN_USE             one is the NET_LUID, or if_index the ifIndex,
 *                             of a registered interface, or another thread
 *                             is registering or releasing it
 *  @retval INVALID_PARAMETER  one is not retained
 *  @retval TIMEOUT            the lease of another thread takes too long;
 *                             all stay retained
 *  @retval other              what the hook said; all stay retained
 *
 *  Other arguments, Cost as for ndisbridge_retain().
 *  Threads:      any thread.  Where a block is not leased here, it and
 *                leases of its IfType wait for each other's hooks.
 *  Counterpart:  NdisIfFreeNetLuidIndex.
 */
ndisbridge_status ndisbridge_release(
    ndisbridge_session *session, uint16_t if_type,
    const uint32_t *net_luid_indexes, uint32_t count, uint32_t if_index,
    uint32_t flags, void *record);

/** Allocates an ifIndex by the session's policy, to be retained with an
 *  identity or freed.
 *
 *  @param[out] if_index  config's if_index_first .. 0xFFFFFF
 *
 *  Statuses, Threads as for ndisbridge_allocate_net_luid_index().
 *  Counterpart:  what NdisIfRegisterInterface does inside.
 */
ndisbridge_status ndisbridge_allocate_if_index(
    ndisbridge_session *session, uint32_t *if_index);

/** Frees an ifIndex of ndisbridge_allocate_if_index(); statuses as for
 *  ndisbridge_free_net_luid_index().  That of a registered interface is not
 *  freed.  Threads: any thread. */
ndisbridge_status ndisbridge_free_if_index(
    ndisbridge_session *session, uint32_t if_index);

/* ------------------------------------------------------------------------
 * Providers and interfaces
 */

/** Registers an interface provider.
 *
 *  @param[out] provider         its handle
 *  @param      characteristics  query_object_handler may be NULL only if
 *                               handlers is not empty
 *  @param      flags            NDISBRIDGE_HANDLER_* of
 *                               query_object_handler
 *  @param      handlers         OIDs with a function of their own, copied;
 *                               each OID of the catalog at most once
 *  @param      count            number of handlers
 *
 *  @retval NOT_SUPPORTED      unknown revision of characteristics
 *  @retval INVALID_PARAMETER  no handler at all, a reserved member is set,
 *                             handlers names an unknown OID or one twice, or
 *                             a flag has no meaning
 *  @retval RESOURCES          no memory
 *
 *  Ownership:    a number; ndisbridge_deregister_provider() ends it.
 *  Threads:      any thread.
 *  Counterpart:  NdisIfRegisterProvider.
 */
ndisbridge_status ndisbridge_register_provider(
    ndisbridge_session *session, ndisbridge_provider *provider,
    const ndisbridge_if_provider_characteristics *characteristics,
    uint32_t flags, const ndisbridge_oid_handler *handlers,
    uint32_t count);

/** Deregisters a provider that has no interfaces.
 *
 *  @retval PROVIDER_HAS_INTERFACES  it has; nothing is changed
 *  @retval INVALID_PARAMETER        not a registered provider
 *
 *  Threads:      any thread.
 *  Counterpart:  NdisIfDeregisterProvider, which bug-checks instead.
 */
ndisbridge_status ndisbridge_deregister_provider(
    ndisbridge_session *session, ndisbridge_provider provider);

/** Registers an interface.
 *
 *  The NET_LUID must be allocated here (it is then held and cannot be freed
 *  until the interface is deregistered) or retained, which the confirm hook
 *  confirms and marks.  Registered means known, not up.
 *
 *  Without a confirm hook nobody knows whose a retained ifIndex is: any
 *  retained NET_LUID may be registered with it.
 *
 *  @param[in,out] if_index     in: the ifIndex wanted, or 0 for any;
 *                              out: 1 .. NDISBRIDGE_IF_INDEX_MAX
 *  @param  provider            handle
 *  @param  net_luid            NET_LUID
 *  @param  information         constant facts, copied
 *  @param  information_length  bytes of information with what follows it
 *  @param  provider_if_context passed to the handlers; may be NULL; must
 *                              outlive the registration
 *
 *  @retval DUPLICATE_OBJECTID  the NET_LUID is registered, or on its way
 *  @retval IN_USE              the ifIndex wanted is taken, another session
 *                              uses the NET_LUID, or it is being released
 *  @retval INVALID_PARAMETER   the NET_LUID is neither allocated nor
 *                              retained; or another argument is invalid
 *  @retval NOT_SUPPORTED       unknown revision of information
 *  @retval RESOURCES           no memory, or no ifIndex is left
 *
 *  Threads:      any thread; serialized inside with other registrations.
 *  Cost:         one copy of information; the confirm hook if retained.
 *  Counterpart:  NdisIfRegisterInterface.
 */
ndisbridge_status ndisbridge_register_interface(
    ndisbridge_session *session, uint32_t *if_index,
    ndisbridge_provider provider, ndisbridge_net_luid net_luid,
    const ndisbridge_net_if_information *information,
    uint32_t information_length, void *provider_if_context);

/** Registers many retained or allocated NET_LUIDs with one call of the
 *  confirm hook; the hook's failure fails all, every other failure only its
 *  own.
 *
 *  @param[in,out] if_indexes   count ifIndexes, as for one; 0 where it failed
 *  @param[out]    statuses     count statuses, always written
 *  @param  net_luids           count NET_LUIDs
 *  @param  information         count blocks of information_stride bytes
 *  @param  information_stride  bytes from one to the next
 *  @param  provider_if_contexts  count contexts, or NULL for none
 *
 *  @retval FAILURE  one or more failed; see statuses
 *  @retval other    nothing was tried
 *
 *  Threads, Counterpart as for one.
 */
ndisbridge_status ndisbridge_register_interfaces(
    ndisbridge_session *session, uint32_t *if_indexes,
    ndisbridge_status *statuses, ndisbridge_provider provider,
    const ndisbridge_net_luid *net_luids, const void *information,
    uint32_t information_stride, void *const *provider_if_contexts,
    uint32_t count);

/** Replaces the facts that an interface was registered with: a device that
 *  has got another name or address is the same interface.  All of
 *  information is taken but supported_statistics; what is published stays.
 *
 *  @param net_luid            NET_LUID of a registered interface
 *  @param information         as for the registration; interface_guid and
 *                             NDISBRIDGE_NIIF_FILTER_INTERFACE stay
 *  @param information_length  bytes of information with what follows it
 *
 *  @retval INTERFACE_NOT_FOUND  not registered
 *  @retval INVALID_PARAMETER    a member has no such value, or may not change
 *  @retval NOT_SUPPORTED        unknown revision of information
 *
 *  Threads:      any thread; readers never see half of it.
 *  Counterpart:  none: NDIS keeps NET_IF_INFORMATION until deregistration.
 */
ndisbridge_status ndisbridge_replace_interface_information(
    ndisbridge_session *session, ndisbridge_net_luid net_luid,
    const ndisbridge_net_if_information *information,
    uint32_t information_length);

/** Deregisters an interface: refuses new readers, waits for the handlers
 *  that run for it, drops its stack rows, frees its ifIndex.  The NET_LUID
 *  stays allocated or retained.
 *
 *  From a handler of another interface of the session it does not wait: if
 *  handlers run it marks and returns PENDING, and the last one that leaves
 *  completes it.
 *
 *  @param if_index    ifIndex
 *  @param timeout_ms  ms to wait, or NDISBRIDGE_TIMEOUT_DEFAULT
 *
 *  @retval PENDING              marked, as above
 *  @retval INTERFACE_NOT_FOUND  no such interface
 *  @retval IN_OWN_HANDLER       called from a handler of this interface
 *  @retval TIMEOUT              it stays closing; the last handler
 *                               completes it
 *
 *  Threads:      any thread.
 *  Counterpart:  NdisIfDeregisterInterface.
 */
ndisbridge_status ndisbridge_deregister_interface(
    ndisbridge_session *session, uint32_t if_index, uint32_t timeout_ms);

/** Finds the ifIndex of a registered NET_LUID; 0 is written on failure.
 *
 *  @retval INTERFACE_NOT_FOUND  none is registered
 *
 *  Threads:      any thread; lock-free.
 *  Counterpart:  NdisIfGetInterfaceIndexFromNetLuid.
 */
ndisbridge_status ndisbridge_get_interface_index_from_net_luid(
    ndisbridge_session *session, uint32_t *if_index,
    ndisbridge_net_luid net_luid);

/** Finds the NET_LUID of a registered ifIndex; 0 is written on failure.
 *
 *  @retval INTERFACE_NOT_FOUND  none is registered
 *
 *  Threads:      any thread; lock-free.
 *  Counterpart:  NdisIfGetNetLuidFromInterfaceIndex.
 */
ndisbridge_status ndisbridge_get_net_luid_from_interface_index(
    ndisbridge_session *session, ndisbridge_net_luid *net_luid,
    uint32_t if_index);

/** Finds the ends of the filter chain that an interface belongs to: from
 *  the miniport adapter at its bottom to the filter module at its top
 *  (stack rows between NIIF_FILTER_INTERFACE interfaces).  Both are the
 *  interface itself where it has no filter modules.
 *
 *  @param[out] bound_if_index   top of the chain
 *  @param[out] lowest_if_index  its bottom
 *  @param      if_index         any interface of the chain (NDIS passes a
 *                               binding handle here)
 *
 *  @retval INTERFACE_NOT_FOUND  if_index is not registered
 *
 *  Threads:      any thread.
 *  Counterpart:  NdisIfQueryBindingIfIndex.
 */
ndisbridge_status ndisbridge_query_binding_if_index(
    ndisbridge_session *session, uint32_t *bound_if_index,
    ndisbridge_net_luid *bound_if_net_luid, uint32_t *lowest_if_index,
    ndisbridge_net_luid *lowest_if_net_luid, uint32_t if_index);

/** Number of registered interfaces (ifNumber).  Threads: any thread. */
uint32_t ndisbridge_interface_count(ndisbridge_session *session);

/* ------------------------------------------------------------------------
 * Interface stack
 */

/** Adds the row (higher, lower); a row that is there already is SUCCESS.
 *
 *  @retval INTERFACE_NOT_FOUND  one of the two is not registered
 *  @retval STACK_LOOP           the row would close a loop
 *  @retval RESOURCES            no memory
 *
 *  Threads:      any thread.
 *  Counterpart:  NdisIfAddIfStackEntry, which bug-checks on a loop.
 */
ndisbridge_status ndisbridge_add_if_stack_entry(
    ndisbridge_session *session, uint32_t higher_layer_if_index,
    uint32_t lower_layer_if_index);

/** Deletes the row (higher, lower) if it is there; SUCCESS either way.
 *  Threads: any thread.  Counterpart: NdisIfDeleteIfStackEntry. */
ndisbridge_status ndisbridge_delete_if_stack_entry(
    ndisbridge_session *session, uint32_t higher_layer_if_index,
    uint32_t lower_layer_if_index);

/** Copies the stack, ordered by (higher, lower).
 *
 *  @param[out]    rows   up to *count rows; may be NULL if *count is 0
 *  @param[in,out] count  in: rows that fit; out: rows written, or needed
 *
 *  @retval BUFFER_TOO_SHORT  count says how many there are
 *
 *  Threads:      any thread.
 *  Counterpart:  GetIfStackTable; ifStackTable without its 0 rows.
 */
ndisbridge_status ndisbridge_get_if_stack_table(
    ndisbridge_session *session, ndisbridge_mib_ifstack_row *rows,
    uint32_t *count);

/** The same rows with their members swapped, ordered by (lower, higher).
 *  Counterpart: GetInvertedIfStackTable; ifInvStackTable. */
ndisbridge_status ndisbridge_get_inverted_if_stack_table(
    ndisbridge_session *session, ndisbridge_mib_invertedifstack_row *rows,
    uint32_t *count);

/* ------------------------------------------------------------------------
 * OID requests
 */

/** Values that an interface publishes, so that the library answers for it.
 *  fields has one bit per member in use: bit n for the n-th member of
 *  ndisbridge_interface_information (if_oper_status is bit 0), then
 *  NDISBRIDGE_PUBLISH_ADMIN_STATUS and _ALIAS. */
typedef struct ndisbridge_published {
    uint64_t fields;
    ndisbridge_interface_information information;
    uint32_t admin_status;  /* NET_IF_ADMIN_STATUS */
    ndisbridge_if_counted_string alias;
} ndisbridge_published;

/** Bit of admin_status in fields. */
#define NDISBRIDGE_PUBLISH_ADMIN_STATUS 0x100000000
/** Bit of alias in fields. */
#define NDISBRIDGE_PUBLISH_ALIAS 0x200000000
/** All bits of ndisbridge_interface_information in fields. */
#define NDISBRIDGE_PUBLISH_INFORMATION 0xFFFFFFFF

/** Publishes values of an interface; the other published ones stay.
 *
 *  From then on their OIDs are answered from here, without a handler, and
 *  OID_GEN_STATISTICS once a counter is published.
 *
 *  OID_GEN_INTERFACE_INFO is answered from here alone once every member of
 *  information is published.  Before that the provider's handler for it is
 *  asked, and the published members are laid over its answer, so that it
 *  agrees with what each single OID says; a failure of the handler is the
 *  answer.  Where there is no handler, or it says NOT_SUPPORTED or
 *  INVALID_OID, the published members are the answer, and the others read as
 *  unknown or 0.  The rows of the interface table do the same.
 *
 *  supported_statistics is what the registration (or that handler) said and
 *  the bit of every counter that is published, unless it is published
 *  itself.  A call that publishes in_ucast_octets, in_multicast_octets or
 *  in_broadcast_octets, and not in_octets, publishes their sum as in_octets
 *  once all three are published; the same goes for out.  A total that is
 *  given is kept as it is.
 *
 *  @param values  fields says which
 *
 *  @retval INTERFACE_NOT_FOUND  not registered
 *  @retval INVALID_PARAMETER    a value is out of range
 *
 *  Threads:      any thread; readers never see half of it.
 *  Counterpart:  the cache of the NDIS proxy provider.
 */
ndisbridge_status ndisbridge_publish(
    ndisbridge_session *session, ndisbridge_net_luid net_luid,
    const ndisbridge_published *values);

/** Publishes for many interfaces.
 *
 *  @param[out] published  how many were; may be NULL; always written
 *  @param      net_luids  count NET_LUIDs; 0 is skipped
 *  @param      values     the first ndisbridge_published
 *  @param      stride     bytes from one to the next, a multiple of 8 (0: the
 *                         same for all)
 *
 *  @retval FAILURE  one or more failed; the rest is published
 */
ndisbridge_status ndisbridge_publish_many(
    ndisbridge_session *session, uint32_t *published,
    const ndisbridge_net_luid *net_luids, uint32_t count,
    const ndisbridge_published *values, uint32_t stride);

/** Asks an interface for an OID.
 *
 *  Answered by the library from registration facts and published values,
 *  otherwise by the provider's handler for the OID, otherwise by its
 *  query_object_handler.
 *
 *  A fixed-size OID needs exactly its size or more; a 64-bit counter gives
 *  its low 32 bits into 4 .. 7 bytes; OID_GEN_ALIAS always gives all 516.
 *  The two addresses of 802.3 are registration facts of interfaces whose
 *  media_type is 802.3 and whose addresses have 6 bytes.
 *
 *  @param[out]    output    aligned for any type; may be NULL if *length
 *                           is 0
 *  @param[in,out] length    in: bytes that fit; out: bytes written, or
 *                           needed with BUFFER_TOO_SHORT / INVALID_LENGTH
 *  @param         net_luid  NET_LUID
 *  @param         oid       NDISBRIDGE_OID_*, or a provider's own
 *
 *  @retval INTERFACE_NOT_FOUND  not registered, or being deregistered
 *  @retval BUFFER_TOO_SHORT     length says how much is needed
 *  @retval INVALID_LENGTH       a counter into less than 4 bytes
 *  @retval NOT_SUPPORTED        nobody answers this OID
 *  @retval INVALID_OID          not in the catalog, and nobody answers it
 *  @retval INVALID_DATA         the handler broke the OID's rules, or wanted
 *                               more room without needing it
 *  @retval other                what the handler said
 *
 *  Threads:      any thread; lock-free but for what the handler does.
 *  Counterpart:  IF_QUERY_OBJECT.
 */
ndisbridge_status ndisbridge_query(
    ndisbridge_session *session, void *output, uint32_t *length,
    ndisbridge_net_luid net_luid, uint32_t oid);

/** Asks where that runs nothing but NON_BLOCKING handlers; PENDING
 *  otherwise, and then nothing was asked. */
ndisbridge_status ndisbridge_try_query(
    ndisbridge_session *session, void *output, uint32_t *length,
    ndisbridge_net_luid net_luid, uint32_t oid);

/** Asks many interfaces for one OID.
 *
 *  @param[out] output    count answers, stride bytes apart; aligned for any
 *                        type
 *  @param      stride    bytes for each; what an answer does not fill is 0.
 *                        A multiple of 8 for OIDs of variable size, arrays
 *                        and those that are not in the catalog, unless count
 *                        is 0 or 1: handlers write those in place
 *  @param[out] lengths   count lengths; may be NULL; always written, as for
 *                        one, and 0 where nothing was tried
 *  @param[out] statuses  count statuses; always written, with the returned
 *                        status where nothing was tried
 *  @param      net_luids count NET_LUIDs
 *
 *  @retval FAILURE            one or more failed; see statuses
 *  @retval INVALID_PARAMETER  nothing was tried: a NULL pointer, or a stride
 *                             that is not aligned
 *  @retval INVALID_STATE, FORKED  nothing was tried
 *
 *  Threads, Counterpart as for one.
 */
ndisbridge_status ndisbridge_query_many(
    ndisbridge_session *session, void *output, uint32_t stride,
    uint32_t *lengths, ndisbridge_status *statuses,
    const ndisbridge_net_luid *net_luids, uint32_t count, uint32_t oid);

/** Sets an OID of an interface, by the provider's handler for it or its
 *  set_object_handler.
 *
 *  @param input   the value; NULL if length is 0
 *  @param length  its bytes; a fixed-size OID takes exactly its size
 *
 *  @retval INVALID_LENGTH  not the size of the OID
 *  Other statuses as for a query.
 *
 *  Threads:      any thread.
 *  Counterpart:  IF_SET_OBJECT.
 */
ndisbridge_status ndisbridge_set(
    ndisbridge_session *session, ndisbridge_net_luid net_luid,
    uint32_t oid, const void *input, uint32_t length);

enum ndisbridge_if_table_level {
    /** Ask the handlers for what is not published. */
    NDISBRIDGE_IF_TABLE_NORMAL = 0,
    /** What is known without asking anybody. */
    NDISBRIDGE_IF_TABLE_PUBLISHED = 2
};

/** Copies the whole interface table, ordered by ifIndex.
 *
 *  @param[out]    rows   up to *count rows; may be NULL if *count is 0
 *  @param[in,out] count  in: rows that fit; out: rows written, or needed
 *  @param         level  ndisbridge_if_table_level
 *
 *  @retval BUFFER_TOO_SHORT  count says how many there are now
 *
 *  An interface that is registered or deregistered meanwhile may be in it or
 *  not; no ifIndex is in it twice.
 *
 *  Threads:      any thread; a row is of one moment, but for what handlers
 *                were asked meanwhile.
 *  Cost:         about a memcpy of the rows.
 *  Counterpart:  GetIfTable2Ex.
 */
ndisbridge_status ndisbridge_get_if_table(
    ndisbridge_session *session, ndisbridge_mib_if_row2 *rows,
    uint32_t *count, uint32_t level);

/** Copies one row.  Statuses as for a query.
 *  Counterpart: GetIfEntry2Ex. */
ndisbridge_status ndisbridge_get_if_entry(
    ndisbridge_session *session, ndisbridge_mib_if_row2 *row,
    ndisbridge_net_luid net_luid, uint32_t level);

/* ------------------------------------------------------------------------
 * Events
 */

/** What has happened.  The first four are MIB_NOTIFICATION_TYPE. */
enum ndisbridge_event_kind {
    /** Values of an interface have changed (MibParameterNotification). */
    NDISBRIDGE_EVENT_PARAMETER = 0,
    /** An interface has been registered (MibAddInstance). */
    NDISBRIDGE_EVENT_ADD = 1,
    /** An interface is gone: its deregistration is complete
     *  (MibDeleteInstance). */
    NDISBRIDGE_EVENT_DELETE = 2,
    /** An interface was there when the subscription began
     *  (MibInitialNotification, with the row that Windows leaves out). */
    NDISBRIDGE_EVENT_INITIAL = 3,
    /** A row of the interface stack has been added, or was there when the
     *  subscription began. */
    NDISBRIDGE_EVENT_STACK_ADD = 4,
    /** A row of the interface stack has been deleted. */
    NDISBRIDGE_EVENT_STACK_DELETE = 5,
    /** Something has happened to an identity of the store: what
     *  ndisbridge_post_identity_event() was told. */
    NDISBRIDGE_EVENT_IDENTITY = 6
};

/** What a change of ifOperStatus means by RFC 2863. */
enum ndisbridge_link_transition {
    NDISBRIDGE_LINK_NONE = 0,
    /** It has left down, into any state but notPresent (linkUp). */
    NDISBRIDGE_LINK_UP = 1,
    /** It has come to down, from any state but notPresent (linkDown). */
    NDISBRIDGE_LINK_DOWN = 2
};

/** What has happened to an identity, and is committed. */
enum ndisbridge_identity_change {
    NDISBRIDGE_IDENTITY_CREATED = 1,
    NDISBRIDGE_IDENTITY_CHANGED = 2,
    NDISBRIDGE_IDENTITY_RELEASED = 3,
    /** Changes may have been missed: look all identities up. */
    NDISBRIDGE_IDENTITY_LOST = 4
};

/** One event.  Members without a meaning for its kind are 0. */
typedef struct ndisbridge_event {
    ndisbridge_net_luid net_luid;  /* of a stack row: the higher one's */
    uint64_t time;     /* ms since the machine started (CLOCK_MONOTONIC) */
    uint64_t changed;  /* PARAMETER: bits of ndisbridge_published.fields
                        * that differ, or are published for the first time;
                        * ADD, INITIAL, DELETE: those that are published;
                        * IDENTITY: an ndisbridge_identity_change */
    uint64_t missed;   /* events lost just before this one */
    uint64_t token;    /* IDENTITY: what it was posted with */
    uint32_t if_index;  /* of a stack row: the higher one's */
    uint32_t kind;      /* ndisbridge_event_kind */
    uint32_t link;      /* ndisbridge_link_transition */
    uint32_t oper_status;   /* NET_IF_OPER_STATUS after it */
    uint32_t admin_status;  /* NET_IF_ADMIN_STATUS after it */
    uint32_t lower_if_index;  /* of a stack row */
} ndisbridge_event;

/** Handle of a subscription; never used again.  A stale one is refused. */
typedef uint64_t ndisbridge_subscription;

/** Bits of ndisbridge_published.fields that are counters: a publication in
 *  which nothing else changes is no event. */
#define NDISBRIDGE_PUBLISH_STATISTICS 0x3FFFF800
/** Bit of ndisbridge_event.changed: the facts of the registration were
 *  replaced by others. */
#define NDISBRIDGE_CHANGED_FACTS 0x400000000
/** Greatest capacity of a subscription. */
#define NDISBRIDGE_SUBSCRIPTION_CAPACITY_MAX 0x100000

enum ndisbridge_subscribe_flags {
    /** Begin with an INITIAL event for each interface that is registered and
     *  a STACK_ADD event for each row of the stack; they take no room of the
     *  capacity. */
    NDISBRIDGE_SUBSCRIBE_INITIAL = 1,
    /** No IDENTITY events. */
    NDISBRIDGE_SUBSCRIBE_NO_IDENTITIES = 2
};

/** Begins to record events for ndisbridge_next_events().
 *
 *  Each subscription has a ring of its own.  Whoever registers,
 *  deregisters or publishes puts the event into it without allocating, and
 *  waits for no subscriber: where the ring is full the oldest event is lost,
 *  and the next one that is fetched says in `missed` how many were.
 *
 *  The events of one interface come in the order in which they happened: ADD
 *  or INITIAL, PARAMETER ..., DELETE.  With INITIAL there is neither a gap
 *  nor an overlap: what an INITIAL event tells is the state before the next
 *  event of that interface, so that the interface table and the stack can be
 *  kept by the events alone as long as `missed` is 0.  After a `missed`
 *  that is not, read them anew, or subscribe anew.
 *
 *  Who fetches an event finds it in the table: an ADD can be looked up, a
 *  PARAMETER reads as what it tells or newer.  Values that handlers answer
 *  are not known to the library, and no event tells of them.
 *
 *  @param[out] subscription  handle
 *  @param      capacity      events that it holds, 1 ..
 *                            NDISBRIDGE_SUBSCRIPTION_CAPACITY_MAX; 72 bytes
 *                            each
 *  @param      flags         NDISBRIDGE_SUBSCRIBE_*
 *
 *  @retval INVALID_PARAMETER  no such capacity or flag
 *  @retval RESOURCES          no memory
 *
 *  Ownership:    a number; ndisbridge_unsubscribe() ends it.
 *  Threads:      any thread.
 *  Cost:         INITIAL: one walk of the table, during which nothing is
 *                registered or deregistered.  While somebody subscribes, a
 *                call that posts an event copies it once for each; otherwise
 *                it costs one load.
 *  Counterpart:  NotifyIpInterfaceChange, linkUp and linkDown of RFC 2863.
 */
ndisbridge_status ndisbridge_subscribe(
    ndisbridge_session *session, ndisbridge_subscription *subscription,
    uint32_t capacity, uint32_t flags);

/** Fetches events, oldest first, waiting until there is one.
 *
 *  Closing the session wakes who waits here.  What closing itself has posted
 *  (the DELETE of each interface) can still be fetched; INVALID_STATE comes
 *  when nothing is left.
 *
 *  @param[out]    events      up to *count events
 *  @param[in,out] count       in: events that fit, 1 or more; out: fetched;
 *                             always written
 *  @param         timeout_ms  ms to wait for the first, 0 for not at all, or
 *                             NDISBRIDGE_TIMEOUT_DEFAULT
 *
 *  @retval TIMEOUT            nothing has happened
 *  @retval INVALID_PARAMETER  no such subscription, or not any more
 *  @retval INVALID_STATE      the session is closed, and nothing is left; or
 *                             called from a hook
 *
 *  Threads:      any thread; each event is fetched by one of them.
 */
ndisbridge_status ndisbridge_next_events(
    ndisbridge_session *session, ndisbridge_event *events, uint32_t *count,
    ndisbridge_subscription subscription, uint32_t timeout_ms);

/** Gives a file descriptor that polls as readable while there are events to
 *  fetch, or the session is closed: for poll(), epoll and event loops.  Once
 *  also when closing begins, for handlers that wait, as nothing is fetched
 *  then.  Do nothing with it but wait; ndisbridge_next_events() is what makes
 *  it unreadable.
 *
 *  @param[out] descriptor  the same each time; close-on-exec
 *
 *  @retval INVALID_PARAMETER  no such subscription
 *  @retval RESOURCES          no descriptor is left
 *  @retval NOT_SUPPORTED      not on this system
 *
 *  Ownership:    the subscription's, which makes it readable and closes it
 *                when it ends: wait on a dup() if that may be meanwhile.
 *  Threads:      any thread.
 */
ndisbridge_status ndisbridge_get_subscription_descriptor(
    ndisbridge_session *session, int32_t *descriptor,
    ndisbridge_subscription subscription);

/** Ends a subscription.  Who waits in it gets INVALID_PARAMETER.  Works on a
 *  closed session too.
 *
 *  @retval INVALID_PARAMETER  no such subscription
 *
 *  Threads:      any thread.
 *  Counterpart:  CancelMibChangeNotify2, which must not be called from its
 *                callback; this may be called from anywhere but a hook.
 */
ndisbridge_status ndisbridge_unsubscribe(
    ndisbridge_session *session, ndisbridge_subscription subscription);

/** Posts an IDENTITY event to every subscriber who has not declined them
 *  (NDISBRIDGE_SUBSCRIBE_NO_IDENTITIES): for who watches the store,
 *  which the library does not.
 *
 *  @param net_luid  of the identity, or 0 if unknown
 *  @param if_index  its ifIndex, or 0
 *  @param change    ndisbridge_identity_change
 *  @param token     for the poster's own use
 *
 *  Threads:      any thread.
 */
ndisbridge_status ndisbridge_post_identity_event(
    ndisbridge_session *session, ndisbridge_net_luid net_luid,
    uint32_t if_index, uint32_t change, uint64_t token);

/** When an interface was last registered or deregistered, in ms since the
 *  machine started; 0: never in this session.
 *  Threads: any thread.  Counterpart: ifTableLastChange. */
ndisbridge_status ndisbridge_get_if_table_last_change(
    ndisbridge_session *session, uint64_t *last_change);

/** When a row of the stack was last added or deleted, likewise.  The rows of
 *  ifStackTable that mark the ends of a stack are not in this one; an agent
 *  that shows them answers the later of this and ifTableLastChange.
 *  Threads: any thread.  Counterpart: ifStackLastChange. */
ndisbridge_status ndisbridge_get_if_stack_last_change(
    ndisbridge_session *session, uint64_t *last_change);

/* ------------------------------------------------------------------------
 * OID catalog
 */

/** How long an OID's value may be. */
enum ndisbridge_oid_size_rule {
    NDISBRIDGE_OID_SIZE_VARIABLE = 0,
    NDISBRIDGE_OID_SIZE_FIXED = 1,
    NDISBRIDGE_OID_SIZE_COUNTER = 2,         /* 8 bytes, or the low 4 */
    NDISBRIDGE_OID_SIZE_COUNTED_STRING = 3,  /* 516 */
    NDISBRIDGE_OID_SIZE_ARRAY = 4            /* a multiple of size */
};

/** Bit of access: NDIS has no set of this OID, but a provider here may take
 *  one, as that of a Linux host does. */
#define NDISBRIDGE_OID_ACCESS_SETTABLE 4

/** What the library knows of an OID. */
typedef struct ndisbridge_oid_description {
    uint32_t oid;
    uint32_t size;       /* bytes: fixed, or of one array member */
    uint32_t size_rule;  /* ndisbridge_oid_size_rule */
    uint32_t type;       /* ndisbridge_oid_type */
    uint32_t access;     /* 1 query, 2 set, 3 both; and
                          * NDISBRIDGE_OID_ACCESS_SETTABLE */
    const char *name;    /* without "OID_", such as "GEN_ALIAS" */
    const char *type_name;  /* NDIS type of an enumeration or a structure,
                             * such as "NET_IF_OPER_STATUS", or "" */
    const char *if_mib_object;  /* RFC 2863 object, or "", or two with ", "
                                 * between them */
} ndisbridge_oid_description;

/** How an OID's value reads. */
enum ndisbridge_oid_type {
    NDISBRIDGE_OID_TYPE_BYTES = 0,
    NDISBRIDGE_OID_TYPE_BOOLEAN = 1,
    NDISBRIDGE_OID_TYPE_UNSIGNED = 2,        /* 4 or 8 bytes */
    NDISBRIDGE_OID_TYPE_COUNTED_STRING = 3,
    NDISBRIDGE_OID_TYPE_MAC_ADDRESS = 4,
    NDISBRIDGE_OID_TYPE_MAC_LIST = 5,
    NDISBRIDGE_OID_TYPE_STRUCT = 6
};

/** Describes an OID.  Strings live as long as the library.
 *  @retval INVALID_OID  not in the catalog
 *  Threads: any thread. */
ndisbridge_status ndisbridge_describe_oid(
    ndisbridge_oid_description *description, uint32_t oid);

/** Copies the OIDs of the catalog, ascending; count as for the tables.
 *  Threads: any thread. */
ndisbridge_status ndisbridge_list_oids(uint32_t *oids, uint32_t *count);

/* ------------------------------------------------------------------------
 * The links of a Linux host
 */

/** One link of the host, as one rtnetlink dump tells it. */
typedef struct ndisbridge_linux_link {
    uint32_t if_index;         /* the kernel's */
    uint32_t master_if_index;  /* bridge, bond, VRF ... above it, or 0 */
    uint32_t link_if_index;    /* IFLA_LINK: below it, or a veth's peer */
    int32_t link_net_ns_id;    /* namespace of that, or -1 for this one */
    uint32_t flags;            /* IFF_* */
    uint16_t arphrd;           /* ARPHRD_* */
    uint16_t if_type;          /* IANA ifType, by kind and ARPHRD */
    uint64_t tagged_net_luid;  /* of an altname ndis-luid-..., or 0 */
    ndisbridge_if_physical_address address;
    ndisbridge_if_physical_address permanent_address;
    char name[16];             /* NUL-terminated, as all of these */
    char kind[32];             /* "veth", "bridge" ...; "" for none */
    char parent_device[64];    /* bus name of the device, or "" */
    uint32_t access_type;      /* NET_IF_ACCESS_TYPE */
    uint32_t connector_present;  /* 1: real hardware */
    uint32_t media_type;         /* NDIS_MEDIUM */
    uint32_t physical_medium_type;
    uint32_t lower_if_index;   /* the link that it runs on, or 0 */
    uint32_t reserved;
    ndisbridge_published published;  /* ready to publish */
} ndisbridge_linux_link;

/** Reads all links of the calling thread's network namespace in one dump.
 *
 *  @param[out]    links         up to *count links, as the kernel lists them
 *  @param[in,out] count         in: links that fit; out: read, or needed
 *  @param[out]    error_number  errno of a failure; may be NULL
 *
 *  @retval BUFFER_TOO_SHORT  count says how many there are
 *  @retval FAILURE           the kernel refused: see error_number
 *  @retval NOT_SUPPORTED     this is not Linux
 *
 *  Threads:      any thread.
 *  Cost:         two sockets, 64 KiB of stack.
 *  Counterpart:  none.
 */
ndisbridge_status ndisbridge_get_linux_links(
    ndisbridge_linux_link *links, uint32_t *count, int32_t *error_number);

/** The links of one network namespace, from wherever a thread is later. */
typedef struct ndisbridge_linux_host ndisbridge_linux_host;

/** Opens the network namespace that the calling thread is in.
 *
 *  @param[out] host          NULL on failure
 *  @param[out] error_number  errno of a failure; may be NULL
 *
 *  @retval RESOURCES      no memory, or no descriptor is left
 *  @retval NOT_SUPPORTED  this is not Linux
 *  @retval other          as error_number says
 *
 *  Ownership:    ndisbridge_close_linux_host() ends it.  A child of fork()
 *                must not use it: its answers would be the parent's.
 *  Threads:      any thread.
 */
ndisbridge_status ndisbridge_open_linux_host(
    ndisbridge_linux_host **host, int32_t *error_number);

/** Closes it; NULL is allowed.  Nothing else may be using it. */
void ndisbridge_close_linux_host(ndisbridge_linux_host *host);

/** ndisbridge_get_linux_links() of a host.
 *  Threads: any thread; one after the other. */
ndisbridge_status ndisbridge_read_linux_links(
    ndisbridge_linux_host *host, ndisbridge_linux_link *links,
    uint32_t *count, int32_t *error_number);

/** Reads one link of a host.
 *
 *  @retval INTERFACE_NOT_FOUND  no link has the ifIndex
 *  @retval other                as error_number says
 *
 *  Threads: any thread; one after the other. */
ndisbridge_status ndisbridge_read_linux_link(
    ndisbridge_linux_host *host, ndisbridge_linux_link *link,
    uint32_t if_index, int32_t *error_number);

/** Sets an OID of a link in the kernel.  NDIS has no such sets; in RFC 2863
 *  the first three are read-write, and ifMtu is read-only.
 *
 *  - OID_GEN_ADMIN_STATUS: up or down (`ip link set up`).
 *  - OID_GEN_ALIAS: ifAlias (`ip link set alias`), at most 255 bytes of
 *    UTF-8.
 *  - OID_GEN_PROMISCUOUS_MODE: the administrator's own wish (`ip link set
 *    promisc`).  The kernel counts who wants all packets: after a set to
 *    FALSE a link is promiscuous as long as somebody else wants it, such as
 *    a bridge that it is a port of.
 *  - OID_GEN_MAXIMUM_FRAME_SIZE: the MTU (`ip link set mtu`), in bytes.
 *
 *  @param      if_index      the kernel's
 *  @param      input         the OID's value, as the catalog says
 *  @param[out] error_number  errno of the kernel's refusal; may be NULL,
 *                            and stays what it is if nobody was asked
 *
 *  @retval NOT_SUPPORTED        another OID or value; EOPNOTSUPP
 *  @retval INVALID_LENGTH       not the size of the OID
 *  @retval INVALID_PARAMETER    not a value of the OID; EINVAL, ERANGE
 *  @retval ACCESS_DENIED        EPERM, EACCES: CAP_NET_ADMIN is missing
 *  @retval INTERFACE_NOT_FOUND  ENODEV
 *  @retval IN_USE               EBUSY
 *  @retval RESOURCES            ENOMEM, ENOBUFS
 *  @retval FAILURE              any other errno
 *
 *  Threads:      any thread; one after the other.
 *  Counterpart:  IF_SET_OBJECT.
 */
ndisbridge_status ndisbridge_set_linux_link(
    ndisbridge_linux_host *host, uint32_t if_index, uint32_t oid,
    const void *input, uint32_t length, int32_t *error_number);

/** Gives a link of a host an altname that
 *  carries its NET_LUID, "ndis-luid-" and 16 hexadecimal digits: it goes with
 *  the link through renames and moves to other namespaces, until the link is
 *  deleted.  ndisbridge_get_linux_links() tells it as tagged_net_luid.
 *
 *  @param[in]  if_index      of the link
 *  @param[in]  net_luid      to write; 0 only takes previous off
 *  @param[in]  previous      tag to take off once that is done; 0 for none
 *  @param[out] error_number  errno of a failure; may be NULL
 *
 *  @retval FAILURE            the kernel refused: EPERM without CAP_NET_ADMIN,
 *                             ENODEV without such a link, EEXIST if a link
 *                             of the namespace has the tag, EOPNOTSUPP
 *                             before Linux 5.5; what was taken off stays
 *                             off, what was written stays
 *  @retval INVALID_PARAMETER  no ifIndex, or no NET_LUID
 *  @retval NOT_SUPPORTED      this is not Linux
 *
 *  Threads:      any thread; one after the other.
 *  Counterpart:  none.
 */
ndisbridge_status ndisbridge_tag_linux_link(
    ndisbridge_linux_host *host, uint32_t if_index,
    uint64_t net_luid, uint64_t previous, int32_t *error_number);

enum ndisbridge_linux_change_kind {
    /** A link has come, or has changed: link is what it is now. */
    NDISBRIDGE_LINUX_CHANGE_LINK = 1,
    /** A link has gone from the namespace: link has its ifIndex and its
     *  name, and nothing else. */
    NDISBRIDGE_LINUX_CHANGE_GONE = 2,
    /** Changes were lost: read all links now.  link is all zero. */
    NDISBRIDGE_LINUX_CHANGE_RESYNC = 3
};

/** What has happened to a link. */
typedef struct ndisbridge_linux_change {
    uint32_t kind;  /* ndisbridge_linux_change_kind */
    uint32_t reserved;
    ndisbridge_linux_link link;
} ndisbridge_linux_change;

/** Hears of every change of a network namespace's links. */
typedef struct ndisbridge_linux_monitor ndisbridge_linux_monitor;

/** Opens a monitor of the network namespace that the calling thread is in.
 *  Every change after this is told; read the links once after it.
 *
 *  @param[out] monitor         NULL on failure
 *  @param      receive_buffer  bytes of changes that the kernel keeps until
 *                              they are taken, some KiB each; 0: 64 MiB.
 *                              Without CAP_NET_ADMIN no more than
 *                              net.core.rmem_max.  Memory follows use.
 *  @param[out] error_number    errno of a failure; may be NULL
 *
 *  Statuses, Ownership, Threads: as for ndisbridge_open_linux_host().
 */
ndisbridge_status ndisbridge_open_linux_monitor(
    ndisbridge_linux_monitor **monitor, uint32_t receive_buffer,
    int32_t *error_number);

/** Closes it; NULL is allowed.  Nothing else may be using it. */
void ndisbridge_close_linux_monitor(ndisbridge_linux_monitor *monitor);

/** The descriptor that is readable when there are changes, for poll(); the
 *  monitor's own.  -1 without a monitor.  Threads: any thread. */
int32_t ndisbridge_linux_monitor_fd(const ndisbridge_linux_monitor *monitor);

/** Waits for changes, and takes those that are there, in their order.
 *
 *  @param[out]    changes       up to *count changes
 *  @param[in,out] count         in: changes that fit, 1 or more; out: taken
 *  @param         timeout_ms    ms to wait for the first one;
 *                               0xFFFFFFFF: for ever
 *  @param[out]    error_number  errno of a failure; may be NULL
 *
 *  Once a reader was too slow, or anything could not be read, what is queued
 *  is dropped, and the only change is one of kind RESYNC: a read of all
 *  links that begins after it misses nothing.
 *
 *  Speed and duplex are published by the last change of a link only; they
 *  are asked for here, and what sets them alone is not told.  Changes of
 *  counters are not told; they come along.
 *
 *  @retval TIMEOUT  none came in time
 *  @retval FAILURE  the socket failed, as error_number says: open another
 *
 *  Threads:      one at a time for a monitor.
 *  Cost:         a message of the kernel, and some 10 us for each link to
 *                ask for its details; 64 KiB of stack.
 *  Counterpart:  NotifyIpInterfaceChange.
 */
ndisbridge_status ndisbridge_next_linux_changes(
    ndisbridge_linux_monitor *monitor, ndisbridge_linux_change *changes,
    uint32_t *count, uint32_t timeout_ms, int32_t *error_number);

/* cffi: end */

#if defined(NDISBRIDGE_BUILD) && defined(__GNUC__) && !defined(_WIN32)
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif

#endif /* NDISBRIDGE_H */
