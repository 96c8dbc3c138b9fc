/* SPDX-License-Identifier: MIT
 *
 * session_stack.c - the public functions on the interface stack.
 */
#include "session.h"

ndisbridge_status ndisbridge_query_binding_if_index(
    ndisbridge_session *session, uint32_t *bound_if_index,
    ndisbridge_net_luid *bound_if_net_luid, uint32_t *lowest_if_index,
    ndisbridge_net_luid *lowest_if_net_luid, uint32_t if_index)
{
    ndisbridge_net_luid bound_luid, lowest_luid;
    uint32_t bound, lowest;
    ndisbridge_status status;

    NB_SESSION_ENTER(session);
    NB_REQUIRE(bound_if_index != NULL && bound_if_net_luid != NULL
        && lowest_if_index != NULL && lowest_if_net_luid != NULL);
    status = nb_stack_binding(&session->stack, if_index, &bound, &lowest);
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        status = ndisbridge_get_net_luid_from_interface_index(
            session, &bound_luid, bound);
    if (status == NDISBRIDGE_STATUS_SUCCESS)
        status = ndisbridge_get_net_luid_from_interface_index(
            session, &lowest_luid, lowest);
    if (status != NDISBRIDGE_STATUS_SUCCESS)
        return status;
    *bound_if_index = bound;
    *bound_if_net_luid = bound_luid;
    *lowest_if_index = lowest;
    *lowest_if_net_luid = lowest_luid;
    return NDISBRIDGE_STATUS_SUCCESS;
}

ndisbridge_status ndisbridge_add_if_stack_entry(ndisbridge_session *session,
    uint32_t higher_layer_if_index, uint32_t lower_layer_if_index)
{
    NB_SESSION_ENTER(session);
    return nb_stack_add(
        &session->stack, higher_layer_if_index, lower_layer_if_index);
}

ndisbridge_status ndisbridge_delete_if_stack_entry(
    ndisbridge_session *session, uint32_t higher_layer_if_index,
    uint32_t lower_layer_if_index)
{
    NB_SESSION_ENTER(session);
    nb_stack_delete(
        &session->stack, higher_layer_if_index, lower_layer_if_index);
    return NDISBRIDGE_STATUS_SUCCESS;
}

ndisbridge_status ndisbridge_get_if_stack_table(ndisbridge_session *session,
    ndisbridge_mib_ifstack_row *rows, uint32_t *count)
{
    NB_SESSION_ENTER(session);
    NB_REQUIRE(count != NULL && (rows != NULL || *count == 0));
    return nb_stack_copy(&session->stack, false, (void *)rows, count);
}

ndisbridge_status ndisbridge_get_inverted_if_stack_table(
    ndisbridge_session *session, ndisbridge_mib_invertedifstack_row *rows,
    uint32_t *count)
{
    NB_SESSION_ENTER(session);
    NB_REQUIRE(count != NULL && (rows != NULL || *count == 0));
    return nb_stack_copy(&session->stack, true, (void *)rows, count);
}
