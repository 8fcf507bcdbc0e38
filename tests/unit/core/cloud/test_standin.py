# SPDX-License-Identifier: Apache-2.0
from greengrass_sdk._native import Kind
from greengrass_sdk._native._py.router.events import Send
from greengrass_sdk.core.cloud.standin import StandInCloud


def test_the_stand_in_counts_what_reached_the_cloud():
    cloud = StandInCloud()
    for _ in range(3):
        cloud.receive(Send(0, Kind.MESSAGE, 0, 2, 0, b"a", b"", b"x"))
    assert 3 == cloud.messages
