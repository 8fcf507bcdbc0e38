# SPDX-License-Identifier: Apache-2.0
"""The module to start from gathers what the others define."""

from greengrass_sdk.model import (
    definition,
    function,
    group,
    groupfile,
    lint,
    parts,
    schema,
    subscription as rows,
)


def test_it_offers_every_part_of_a_group_and_the_ways_to_read_one():
    sources = (definition, function, parts, rows, groupfile, lint, schema)
    offered = {name for source in sources for name in source.__all__} - {"checked", "schema_text"}
    assert offered | {"Problem"} == set(group.__all__)
    assert [] == [name for name in group.__all__ if not hasattr(group, name)]
