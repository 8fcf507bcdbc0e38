# SPDX-License-Identifier: Apache-2.0
"""
Small records with rules: what they may hold, what they are called on the wire.

A subclass of `Shape` declares its attributes with `attribute`; it gets slots, an `__init__` with
defaults, equality, `as_dict` and `from_dict` for the wire, and `invalid`, which says in the words
of AWS's SDK what is wrong. Constructors check nothing, as AWS's: a request is checked when it is
sent, and again where it arrives. Nothing is imported: clients pay for it.
"""

from __future__ import annotations

from greengrass_sdk.errors import InvalidStreamRequestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, ClassVar, Self, dataclass_transform
else:

    def dataclass_transform(**_: object) -> object:
        """Do nothing: only type checkers look at it."""
        return lambda cls: cls


__all__ = ["Attribute", "Shape", "attribute"]


class Attribute:
    """What one attribute of a shape may be. `low` and `high` bound numbers, `sizes` lengths."""

    __slots__ = (
        "default",
        "high",
        "key",
        "kind",
        "low",
        "many",
        "name",
        "pattern",
        "required",
        "sizes",
    )

    def __init__(
        self,
        kind: type,
        default: object,
        *,
        key: str,
        required: bool,
        many: bool,
        low: int | None,
        high: int | None,
        sizes: tuple[int, int | None] | None,
        pattern: str,
    ) -> None:
        self.name = ""
        self.kind = kind
        self.default = default
        self.key = key
        self.required = required
        self.many = many
        self.low = low
        self.high = high
        self.sizes = sizes
        self.pattern = pattern

    def named(self, name: str) -> Attribute:
        """Take a name, from which the key on the wire is made."""
        self.name = name
        first, *rest = name.split("_")
        self.key = self.key or first + "".join(word.capitalize() for word in rest)
        return self

    def invalid(self, value: Any) -> str:
        """Return what is wrong with a value; nothing if it is as it should be."""
        if value is None:
            return f"Property {self.name} is required, but was None" if self.required else ""
        if self.many:
            return self._invalid_list(value)
        if not isinstance(value, self.kind):
            return self._not_of_type(self.name, self.kind)
        inner = value.invalid() if isinstance(value, Shape) else ""
        if inner:
            return f"Property {self.name} is invalid because {inner}"
        return self._out_of_bounds(value)

    def _invalid_list(self, value: Any) -> str:
        if not isinstance(value, list | tuple):
            return self._not_of_type(self.name, list)
        for index, item in enumerate(value):
            if not isinstance(item, self.kind):
                return self._not_of_type(f"{self.name}[{index}]", self.kind)
            inner = item.invalid() if isinstance(item, Shape) else ""
            if inner:
                return f"Property {self.name}[{index}] is invalid because {inner}"
        low, high = self.sizes or (0, None)
        if len(value) < low:
            return f"Property {self.name} must have at least {low} items, but found {len(value)}"
        if high is not None and len(value) > high:
            return f"Property {self.name} must have at most {high} items, but found {len(value)}"
        return ""

    def _out_of_bounds(self, value: Any) -> str:
        low, high = self.sizes or (0, None)
        if self.sizes is not None and len(value) < low:
            return (
                f"Property {self.name} must have a minimum length of {low},"
                f" but found length of {len(value)}"
            )
        if high is not None and len(value) > high:
            return (
                f"Property {self.name} must have a maximum length of {high},"
                f" but found length of {len(value)}"
            )
        if self.high is not None and value > self.high:
            return f"Property {self.name} must be at most {self.high}"
        if self.low is not None and value < self.low:
            return f"Property {self.name} must be at least {self.low}"
        if self.pattern and not _matches(self.pattern, value):
            return f"Property {self.name} must match regex {self.pattern}"
        return ""

    @staticmethod
    def _not_of_type(name: str, kind: type) -> str:
        return f"Property {name} is invalid because it must be of type {kind.__name__}"

    def to_wire(self, value: Any) -> Any:
        """Return a value as the wire has it."""
        if self.many:
            return [_plain(item) for item in value]
        return _plain(value)

    def from_wire(self, value: Any) -> Any:
        """Return a value that came from the wire; what it cannot be, it stays, and is invalid."""
        if self.many:
            if not isinstance(value, list | tuple):
                return value
            return [self._one(item) for item in value]
        return self._one(value)

    def _one(self, value: Any) -> Any:
        kind: Any = self.kind
        if issubclass(kind, Shape):
            return kind.from_dict(value) if isinstance(value, dict) else value
        if kind in (int, str, bytes, bool, dict, float):
            return value
        try:
            return kind(value)  # an enumeration
        except ValueError:
            known = ", ".join(str(_plain(each)) for each in kind)
            raise InvalidStreamRequestError(
                f"Property {self.key} is invalid because it must be one of {known}"
            ) from None


def attribute(
    kind: type,
    *,
    default: Any = None,
    key: str = "",
    required: bool = False,
    many: bool = False,
    low: int | None = None,
    high: int | None = None,
    sizes: tuple[int, int | None] | None = None,
    pattern: str = "",
) -> Any:
    """Declare an attribute of a shape; `many` is a list of its kind."""
    return Attribute(
        kind,
        default,
        key=key,
        required=required,
        many=many,
        low=low,
        high=high,
        sizes=sizes,
        pattern=pattern,
    )


class _ShapeType(type):
    """Makes slots of the attributes that a class declares."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> _ShapeType:
        own = {k: v.named(k) for k, v in namespace.items() if isinstance(v, Attribute)}
        kept = {k: v for k, v in namespace.items() if k not in own}
        inherited: dict[str, Attribute] = {}
        for base in bases:
            inherited |= getattr(base, "attributes", {})
        kept["__slots__"] = tuple(own)
        kept["attributes"] = {**inherited, **own}
        return super().__new__(cls, name, bases, kept)


@dataclass_transform(field_specifiers=(attribute,))
class Shape(metaclass=_ShapeType):
    """A record; `attributes` are its attributes in their order."""

    attributes: ClassVar[dict[str, Attribute]]

    def __init__(self, *values: object, **named: object) -> None:
        attributes = self.attributes
        if len(values) > len(attributes):
            raise TypeError(f"{type(self).__name__} takes at most {len(attributes)} arguments")
        given = dict(zip(attributes, values, strict=False))
        for name in named:
            if name not in attributes or name in given:
                raise TypeError(f"{type(self).__name__} got an unexpected argument {name!r}")
        given.update(named)
        for name, declared in attributes.items():
            setattr(self, name, given.get(name, declared.default))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """
        Return what a map of the wire stands for; unknown keys are of a newer peer.

        Raises:
            InvalidStreamRequestError: A number stands for nothing.
        """
        return cls(
            **{
                name: declared.from_wire(values[declared.key])
                for name, declared in cls.attributes.items()
                if values.get(declared.key) is not None
            }
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the map that stands for this on the wire, without what is None."""
        return {
            self.attributes[name].key: self.attributes[name].to_wire(value)
            for name, value in self._items()
            if value is not None
        }

    def invalid(self) -> str:
        """Return what is wrong with it, in the words of AWS's SDK; nothing if it is valid."""
        for name, value in self._items():
            if text := self.attributes[name].invalid(value):
                return text
        return ""

    def check(self) -> Self:
        """
        Return this, if it is valid.

        Raises:
            InvalidStreamRequestError: It is not.
        """
        if text := self.invalid():
            raise InvalidStreamRequestError(text)
        return self

    def replaced(self, **changes: object) -> Self:
        """Return a copy with other values."""
        return type(self)(**{**dict(self._items()), **changes})

    def _items(self) -> Iterator[tuple[str, Any]]:
        for name in self.attributes:
            yield name, getattr(self, name)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(value == getattr(other, name) for name, value in self._items())

    __hash__ = None  # type: ignore[assignment]  # it can be changed

    def __repr__(self) -> str:
        said = (f"{name}={value!r}" for name, value in self._items() if value is not None)
        return f"{type(self).__name__}({', '.join(said)})"


def _plain(value: Any) -> Any:
    if isinstance(value, Shape):
        return value.as_dict()
    return getattr(value, "value", value)


def _matches(pattern: str, text: str) -> bool:
    import re

    return re.fullmatch(pattern, text) is not None
