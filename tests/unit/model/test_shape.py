# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from enum import IntEnum
from typing import Any

import pytest

from greengrass_sdk.errors import InvalidStreamRequestError
from greengrass_sdk.model.shape import Shape, attribute


class Colour(IntEnum):
    Red = 0
    Blue = 1


class Leaf(Shape):
    leaf_size: int | None = attribute(int, default=None, low=1, high=9)


class Tree(Shape):
    tree_name: str | None = attribute(
        str, default=None, required=True, sizes=(2, 4), pattern=r"^\w*$"
    )
    colour: Colour | None = attribute(Colour, default=Colour.Blue)
    leaves: list[Leaf] | None = attribute(Leaf, default=None, many=True, sizes=(1, 2))
    top: Leaf | None = attribute(Leaf, default=None, key="TopLeaf")


class Bigger(Tree):
    rings: int | None = attribute(int, default=None)


def test_arguments_are_taken_in_order_and_by_name_and_have_defaults() -> None:
    tree = Tree("oak", top=Leaf(3))
    assert ("oak", Colour.Blue, None, Leaf(3)) == (
        tree.tree_name,
        tree.colour,
        tree.leaves,
        tree.top,
    )


def test_a_subclass_has_the_attributes_of_its_base_first() -> None:
    assert ["tree_name", "colour", "leaves", "top", "rings"] == list(Bigger.attributes)
    assert not hasattr(Bigger("oak"), "__dict__")


@pytest.mark.parametrize(
    ("values", "named"),
    [((1, 2), {}), ((), {"size": 1}), ((1,), {"leaf_size": 1})],
    ids=["too many", "unknown", "twice"],
)
def test_wrong_arguments_are_a_type_error(values: tuple[Any, ...], named: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        Leaf(*values, **named)


def test_a_map_of_the_wire_and_back_is_the_same_without_what_is_none() -> None:
    tree = Tree("oak", Colour.Red, [Leaf(1), Leaf(2)], Leaf(3))
    wire = {
        "treeName": "oak",
        "colour": 0,
        "leaves": [{"leafSize": 1}, {"leafSize": 2}],
        "TopLeaf": {"leafSize": 3},
    }
    assert wire == tree.as_dict()
    assert tree == Tree.from_dict({**wire, "newer": 1})
    assert {"colour": 1} == Tree().as_dict()


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        (Tree(), "Property tree_name is required, but was None"),
        (Tree(5), "Property tree_name is invalid because it must be of type str"),  # type: ignore[arg-type]
        (
            Tree("x"),
            "Property tree_name must have a minimum length of 2, but found length of 1",
        ),
        (
            Tree("xxxxx"),
            "Property tree_name must have a maximum length of 4, but found length of 5",
        ),
        (Tree("a/b"), r"Property tree_name must match regex ^\w*$"),
        (Tree("oak", 7), "Property colour is invalid because it must be of type Colour"),  # type: ignore[arg-type]
        (Tree("oak", leaves=[]), "Property leaves must have at least 1 items, but found 0"),
        (
            Tree("oak", leaves=[Leaf()] * 3),
            "Property leaves must have at most 2 items, but found 3",
        ),
        (Tree("oak", leaves=3), "Property leaves is invalid because it must be of type list"),  # type: ignore[arg-type]
        (
            Tree("oak", leaves=[Leaf(), 1]),  # type: ignore[list-item]
            "Property leaves[1] is invalid because it must be of type Leaf",
        ),
        (
            Tree("oak", leaves=[Leaf(0)]),
            "Property leaves[0] is invalid because Property leaf_size must be at least 1",
        ),
        (
            Tree("oak", top=Leaf(10)),
            "Property top is invalid because Property leaf_size must be at most 9",
        ),
    ],
)
def test_what_is_invalid_is_told_in_the_words_of_the_sdk(tree: Tree, text: str) -> None:
    assert text == tree.invalid()
    with pytest.raises(InvalidStreamRequestError, match=r"^Property"):
        tree.check()


def test_a_valid_one_is_returned_by_its_check() -> None:
    tree = Tree("oak")
    assert tree is tree.check()


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        ({"treeName": "oak", "leaves": 5}, "leaves is invalid because it must be of type list"),
        ({"treeName": "oak", "leaves": [5]}, "leaves[0] is invalid because it must be"),
        ({"treeName": "oak", "TopLeaf": "x"}, "top is invalid because it must be of type Leaf"),
    ],
)
def test_what_no_map_can_be_is_kept_and_is_invalid(wire: dict[str, object], text: str) -> None:
    assert text in Tree.from_dict(wire).invalid()


def test_a_number_that_stands_for_nothing_is_refused_with_those_that_do() -> None:
    with pytest.raises(InvalidStreamRequestError, match="must be one of 0, 1"):
        Tree.from_dict({"colour": 2})


def test_shapes_are_equal_by_type_and_values_and_have_no_hash() -> None:
    assert Leaf(1) == Leaf(1)
    assert Leaf(1) != Leaf(2)
    assert Leaf(1) != 1
    with pytest.raises(TypeError):
        hash(Leaf(1))


def test_a_copy_may_have_other_values() -> None:
    tree = Tree("oak", top=Leaf(1))
    assert Tree("elm", top=Leaf(1)) == tree.replaced(tree_name="elm")


def test_the_representation_leaves_out_what_is_none() -> None:
    assert "Tree(tree_name='oak', top=Leaf())" == repr(Tree("oak", None, top=Leaf()))
