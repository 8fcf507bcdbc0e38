# SPDX-License-Identifier: Apache-2.0
"""
What AWS's package keeps beside its clients.

`testing`: the decorator that stood before its calls, by name.
"""
