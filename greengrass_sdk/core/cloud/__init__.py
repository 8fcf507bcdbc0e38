# SPDX-License-Identifier: Apache-2.0
"""
The core's link to the cloud.

* `standin`: what answers to the name `cloud` while no broker is configured.
"""
