# SPDX-License-Identifier: Apache-2.0
"""
How the records of `data` behave: as those of AWS's package.

A constructor takes keywords, with None or a default for each, and checks nothing; assigning a wrong
type is a TypeError; `as_dict` leaves out what is None, `from_dict` what it does not know. Names,
keys, ranges and patterns stand once for the whole project, in `greengrass_sdk.model.stream`.
"""

from __future__ import annotations

from enum import Enum
from reprlib import Repr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, Self

__all__ = ["Enumeration", "Record", "problem"]

_short = Repr()


class Enumeration(Enum):
    """A member goes by its value on the wire."""

    @classmethod
    def from_dict(cls, d: Any) -> Self:
        return cls(d)

    def as_dict(self) -> Any:
        return self.value

    def __repr__(self) -> str:
        return f"<Enum {type(self).__name__}. {_short.repr(self.name)}: {_short.repr(self.value)}>"


class Field:
    """A property of a record."""

    __slots__ = ("declared", "default", "kind", "name")

    def __init__(self, declared: Any, kind: type, default: Any) -> None:
        self.declared = declared  # key, bounds, and whether it is a list
        self.name: str = declared.name
        self.kind = kind
        self.default = default

    def __get__(self, record: Any, owner: type) -> Any:
        return self if record is None else record.__dict__[self.name]

    def __set__(self, record: Any, value: Any) -> None:
        self.check(value)
        record.__dict__[self.name] = value

    def check(self, value: Any) -> None:
        if value is None and not self.declared.required:
            return
        if not self.declared.many:
            if not isinstance(value, self.kind):
                raise TypeError(f"{self.name} must be {self.kind.__name__}")
        elif not isinstance(value, list):
            raise TypeError(f"{self.name} must be list")
        elif not all(isinstance(item, self.kind) for item in value):
            raise TypeError(f"{self.name} list values must be {self.kind.__name__}")

    def problem(self, value: Any) -> str:
        """What is wrong with a value; nothing if it is valid."""
        if value is None or not self.declared.many:
            return self._problem_of_one(value)
        if not isinstance(value, list):
            return f"Property {self.name} is invalid because it must be of type list"
        for index, item in enumerate(value):
            if not isinstance(item, self.kind):
                what = f"Property {self.name}[{index}] is invalid because it must be of type"
                return f"{what} {self.kind.__name__}"
            if inner := problem(item):
                return f"Property {self.name}[{index}] is invalid because {inner}"
        low, high = self.declared.sizes or (0, None)
        if len(value) < low:
            return f"Property {self.name} must have at least {low} items, but found {len(value)}"
        if high is not None and len(value) > high:
            return f"Property {self.name} must have at most {high} items, but found {len(value)}"
        return ""

    def _problem_of_one(self, value: Any) -> str:
        if inner := problem(value):
            return f"Property {self.name} is invalid because {inner}"
        if value is not None and not isinstance(value, self.kind):
            what = f"Property {self.name} is invalid because it must be of type"
            return f"{what} {self.kind.__name__}"
        if isinstance(value, Record | Enumeration):
            return ""
        return str(self.declared.invalid(value))


class Record:
    """A record; `of` is the shape that it has."""

    fields: ClassVar[dict[str, Field]] = {}

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

        def __setattr__(self, name: str, value: Any) -> None: ...

    def __init_subclass__(
        cls,
        *,
        of: Any,
        only: tuple[str, ...] = (),
        kinds: dict[str, type] | None = None,
        defaults: dict[str, Any] | None = None,
    ) -> None:
        """Make the fields: all of the shape or `only` some, with kinds and defaults of AWS's."""
        from inspect import Parameter, Signature

        kinds, defaults = kinds or {}, defaults or {}
        cls.fields = {
            name: Field(declared, kinds.get(name, declared.kind), defaults.get(name))
            for name, declared in of.attributes.items()
            if not only or name in only
        }
        for name, field in cls.fields.items():
            setattr(cls, name, field)
        how = Parameter.POSITIONAL_OR_KEYWORD
        cls.__signature__ = Signature(  # type: ignore[attr-defined]  # for help() and inspect
            [Parameter(name, how, default=field.default) for name, field in cls.fields.items()]
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args:
            kwargs |= dict(zip(self.fields, args, strict=False))
        unknown = kwargs.keys() - self.fields.keys()
        if unknown or len(args) > len(self.fields):
            what = f"argument {min(unknown)!r}" if unknown else "number of arguments"
            raise TypeError(f"{type(self).__name__}() got an unexpected {what}")
        # Past the fields: a constructor checks nothing.
        vars(self).update(
            {name: kwargs.get(name, field.default) for name, field in self.fields.items()}
        )

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Self:
        return cls(
            **{
                name: _decoded(field, d[field.declared.key])
                for name, field in cls.fields.items()
                if field.declared.key in d
            }
        )

    def as_dict(self) -> dict[str, Any]:
        return {
            field.declared.key: _encoded(vars(self)[name])
            for name, field in self.fields.items()
            if vars(self)[name] is not None
        }

    def __repr__(self) -> str:
        values = (
            f"{name}: {_short.repr(value[:20] if isinstance(value, bytes) else value)}"
            for name, value in vars(self).items()
        )
        return f"<Class {type(self).__name__}. {', '.join(values)}>"


def problem(value: Any) -> str:
    """Return what is wrong with a record, in AWS's words; nothing if it is valid, or no record."""
    if isinstance(value, Record):
        for name, field in value.fields.items():
            if text := field.problem(vars(value)[name]):
                return text
    return ""


def _decoded(field: Field, value: Any) -> Any:
    decode = getattr(field.kind, "from_dict", None)
    if decode is None or value is None:
        return value
    return [decode(item) for item in value] if field.declared.many else decode(value)


def _encoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_encoded(item) for item in value]
    return value.as_dict() if isinstance(value, Record | Enumeration) else value
