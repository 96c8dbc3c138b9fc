/* SPDX-License-Identifier: MIT
 *
 * transit.c - see transit.h.
 */
#include "transit.h"

bool nb_transit_init(struct nb_transit *transit)
{
    if (!nb_condition_init(&transit->ended))
        return false;
    if (nb_mutex_init(&transit->lock))
        return true;
    pthread_cond_destroy(&transit->ended);
    return false;
}

void nb_transit_destroy(struct nb_transit *transit)
{
    pthread_cond_destroy(&transit->ended);
    pthread_mutex_destroy(&transit->lock);
}

static void append(struct nb_transit *transit, struct nb_trip *trip,
    enum nb_trip_kind kind)
{
    trip->kind = kind;
    trip->number = ++transit->begun;
    trip->previous = transit->last;
    trip->next = NULL;
    *(transit->last != NULL ? &transit->last->next : &transit->first) = trip;
    transit->last = trip;
}

static void take_out(struct nb_transit *transit, struct nb_trip *trip)
{
    *(trip->previous != NULL ? &trip->previous->next : &transit->first) =
        trip->next;
    *(trip->next != NULL ? &trip->next->previous : &transit->last) =
        trip->previous;
    pthread_cond_broadcast(&transit->ended);
}

/* Under `lock`: of the trips up to a number, waits for the releases, or for
 * all others. */
static bool wait_for(struct nb_transit *transit, uint64_t number,
    bool releases, uint64_t deadline_ms)
{
    bool in_time = true;

    for (;;) {
        const struct nb_trip *trip = transit->first;

        while (trip != NULL && trip->number <= number
            && (trip->kind == NB_TRIP_RELEASE) != releases)
            trip = trip->next;
        if (trip == NULL || trip->number > number)
            return true;
        if (!in_time)
            return false;
        in_time = nb_condition_wait(
            &transit->ended, &transit->lock, deadline_ms);
    }
}

ndisbridge_status nb_transit_begin(struct nb_transit *transit,
    struct nb_trip *trip, enum nb_trip_kind kind, uint64_t deadline_ms)
{
    ndisbridge_status status = NDISBRIDGE_STATUS_SUCCESS;

    pthread_mutex_lock(&transit->lock);
    append(transit, trip, kind);
    if (!wait_for(transit, trip->number - 1, kind != NB_TRIP_RELEASE,
            deadline_ms)) {
        take_out(transit, trip);
        status = NDISBRIDGE_STATUS_TIMEOUT;
    } else if (kind == NB_TRIP_RETURN) {
        nb_fetch_add(&transit->returns_begun, 1);
    }
    pthread_mutex_unlock(&transit->lock);
    return status;
}

void nb_transit_end(struct nb_transit *transit, struct nb_trip *trip)
{
    pthread_mutex_lock(&transit->lock);
    if (trip->kind == NB_TRIP_RETURN)
        nb_fetch_add(&transit->returns_ended, 1);
    take_out(transit, trip);
    pthread_mutex_unlock(&transit->lock);
}

bool nb_transit_wait(struct nb_transit *transit, uint64_t deadline_ms)
{
    bool in_time;

    pthread_mutex_lock(&transit->lock);
    in_time = wait_for(transit, transit->begun, false, deadline_ms);
    pthread_mutex_unlock(&transit->lock);
    return in_time;
}
