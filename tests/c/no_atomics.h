/* SPDX-License-Identifier: MIT
 *
 * no_atomics.h - takes the atomics of platform.h away, for whoever defines
 * their own in their place.  Include after it, each time.
 */
#undef nb_load_relaxed
#undef nb_load_acquire
#undef nb_load
#undef nb_store_relaxed
#undef nb_store_release
#undef nb_store
#undef nb_exchange
#undef nb_fetch_or
#undef nb_fetch_and
#undef nb_fetch_add
#undef nb_fetch_sub
#undef nb_compare_exchange
