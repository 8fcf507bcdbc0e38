# SPDX-License-Identifier: Apache-2.0
"""The connection between AWS's `greengrasssdk` and the core of V1, on this project's channel."""
