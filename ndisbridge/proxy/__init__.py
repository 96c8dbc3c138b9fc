# SPDX-License-Identifier: MIT
"""
Proxy providers: they register interfaces on behalf of those that don't.

:mod:`ndisbridge.proxy.linux` does it for the links of a Linux host.
"""
