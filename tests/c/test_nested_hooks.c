/* SPDX-License-Identifier: MIT
 *
 * test_nested_hooks.c - a hook of one session uses another session that has
 * hooks of its own: both know which hooks the thread runs.
 */
#include "check.h"

#include <string.h>

#include "ndisbridge.h"

static ndisbridge_session *outer, *inner;
static ndisbridge_status outer_before, outer_after, inner_inside;

static ndisbridge_status return_blocks(
    void *context, uint16_t if_type, const uint32_t *blocks, uint32_t count)
{
    (void)context, (void)if_type, (void)blocks, (void)count;
    return NDISBRIDGE_STATUS_SUCCESS;
}

static ndisbridge_status lease_inner(void *context,
    ndisbridge_block_mask *leases, uint32_t *count, uint16_t if_type,
    uint32_t lowest, uint32_t highest)
{
    uint32_t index;

    (void)context, (void)highest;
    inner_inside =
        ndisbridge_allocate_net_luid_index(outer, &index, if_type);
    leases[0].block = lowest;
    *count = 1;
    return NDISBRIDGE_STATUS_SUCCESS;
}

static ndisbridge_status lease_outer(void *context,
    ndisbridge_block_mask *leases, uint32_t *count, uint16_t if_type,
    uint32_t lowest, uint32_t highest)
{
    uint32_t index;

    (void)context, (void)highest;
    outer_before =
        ndisbridge_allocate_net_luid_index(outer, &index, if_type);
    CHECK_STATUS(ndisbridge_allocate_net_luid_index(inner, &index, if_type),
        SUCCESS);
    outer_after =
        ndisbridge_allocate_net_luid_index(outer, &index, if_type);
    leases[0].block = lowest;
    *count = 1;
    return NDISBRIDGE_STATUS_SUCCESS;
}

static ndisbridge_session *create(
    ndisbridge_status (*lease)(void *, ndisbridge_block_mask *, uint32_t *,
        uint16_t, uint32_t, uint32_t))
{
    ndisbridge_persistence_hooks hooks;
    ndisbridge_session_config config;
    ndisbridge_session *session = NULL;

    memset(&hooks, 0, sizeof hooks);
    hooks.header.type = NDISBRIDGE_OBJECT_TYPE_DEFAULT;
    hooks.header.revision = NDISBRIDGE_OBJECT_REVISION_1;
    hooks.header.size = sizeof hooks;
    hooks.lease_blocks = lease;
    hooks.return_blocks = return_blocks;
    memset(&config, 0, sizeof config);
    config.header = hooks.header;
    config.header.size = sizeof config;
    config.hooks = &hooks;
    CHECK_STATUS(ndisbridge_session_create(&session, &config),
        SUCCESS);
    return session;
}

int main(void)
{
    uint32_t index;

    outer = create(lease_outer);
    inner = create(lease_inner);
    CHECK_STATUS(ndisbridge_allocate_net_luid_index(outer, &index, 6),
        SUCCESS);
    CHECK_STATUS(outer_before, INVALID_STATE);
    CHECK_STATUS(outer_after, INVALID_STATE);
    CHECK_STATUS(inner_inside, INVALID_STATE);
    CHECK_STATUS(ndisbridge_allocate_net_luid_index(outer, &index, 6),
        SUCCESS);
    CHECK_STATUS(
        ndisbridge_session_destroy(outer), SUCCESS);
    CHECK_STATUS(
        ndisbridge_session_destroy(inner), SUCCESS);
    return check_end();
}
