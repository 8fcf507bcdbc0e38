# SPDX-License-Identifier: Apache-2.0
"""What the core of V1 offered beside its client: repeating with growing pauses."""
