"""Models as items of DynamoDB, and changes of them as update expressions."""

import functools
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, TypeVar

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from pydantic import BaseModel
from pydantic_core import to_json

from chalicelib.jobs import SUMS, FileState, JobState, MediaFile

Model = TypeVar("Model", bound=BaseModel)
Item = dict[str, Any]
"""Attributes by name. Plain, their numbers are `int` and `Decimal`; encoded, each is as in `{"N": "1.5"}`."""

# As exact as DynamoDB's numbers; the shortest decimal of a float, which JSON writes, has 17 digits.
_exactly = Context(prec=38)
_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize


@dataclass(frozen=True)
class Update:
    """An update expression with the names and (plain) values it speaks of."""

    expression: str
    names: Mapping[str, str]
    values: Mapping[str, Any]

    def plain(self) -> Item:
        """The parameters of an update made in any case."""
        return {
            "UpdateExpression": self.expression,
            "ExpressionAttributeNames": dict(self.names),
            "ExpressionAttributeValues": encoded(self.values),
        }

    def request(self, condition: str, values: Mapping[str, Any] = {}, names: Mapping[str, str] = {}) -> Item:
        """The parameters of an update made if `condition` is met, which may speak of more values and names."""
        return {
            "UpdateExpression": self.expression,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": {**self.names, **names},
            "ExpressionAttributeValues": encoded({**self.values, **values}),
        }


def encoded(item: Mapping[str, Any]) -> Item:
    return {name: _serialize(value) for name, value in item.items()}


def decoded(item: Mapping[str, Any]) -> Item:
    return {name: _deserialize(value) for name, value in item.items()}


def document(model: BaseModel) -> Item:
    """The model's fields, plain, without those that are `None`."""
    return _plain(model.model_dump_json(exclude_none=True))


def changed(model: type[BaseModel], changes: Mapping[str, Any]) -> Item:
    """`changes` of fields of `model`, plain. Raises ValueError if there is no such field."""
    unknown = changes.keys() - model.model_fields.keys()
    if unknown:
        raise ValueError(f"{model.__name__} has no field {', '.join(sorted(unknown))}")
    return _plain(to_json(changes))


def setting(changes: Item) -> Update:
    """Sets attributes: `#<name>` are their names, `:<name>` their new values."""
    return Update(
        "SET " + ", ".join(f"#{name} = :{name}" for name in changes),
        {f"#{name}": name for name in changes},
        {f":{name}": value for name, value in changes.items()},
    )


def totalling(before: Sequence[Item], changes: Item) -> Update:
    """Takes the changes of files, their state among them, over into the counts and sums of their job."""
    counts = Counter({changes["state"]: len(before)})
    counts.subtract(file["state"] for file in before)
    counting = (f"counts.#{state} = if_not_exists(counts.#{state}, :zero) + :{state}" for state in counts)
    sums = {
        name: _exactly.subtract(Decimal(changes[name] * len(before)), _total(file[name] for file in before))
        for name in SUMS
        if name in changes
    }
    adding = " ADD " + ", ".join(f"{name} :{name}" for name in sums) if sums else ""
    return Update(
        f"SET {', '.join(counting)}{adding}",
        {f"#{state}": state for state in counts},
        {":zero": 0, **{f":{name}": change for name, change in {**counts, **sums}.items()}},
    )


def more_files(files: Sequence[MediaFile]) -> Item:
    """The parameters of an update of a job to which these files are added, if it still takes any."""
    awaiting = FileState.AWAITING_UPLOAD
    return {
        "UpdateExpression": "SET counts.#awaiting = if_not_exists(counts.#awaiting, :zero) + :files ADD #size :size",
        "ConditionExpression": "#state = :awaiting AND sealed = :no",
        "ExpressionAttributeNames": {"#awaiting": awaiting, "#size": "size", "#state": "state"},
        "ExpressionAttributeValues": encoded(
            {
                ":zero": 0,
                ":files": len(files),
                ":size": sum(file.size for file in files),
                ":awaiting": str(JobState.AWAITING_UPLOAD),
                ":no": False,
            }
        ),
    }


def adding(amounts: Mapping[str, float]) -> Update:
    return Update(
        "ADD " + ", ".join(f"#{name} :{name}" for name in amounts),
        {f"#{name}": name for name in amounts},
        {f":{name}": Decimal(repr(amount)) for name, amount in amounts.items()},
    )


def counting(amounts: Mapping[str, float], expires: int) -> Update:
    """Adds to a counter that lives until `expires` at least."""
    sums = adding(amounts)
    names, values = {**sums.names, "#expires": "expires"}, {**sums.values, ":expires": expires}
    return Update(f"SET #expires = :expires {sums.expression}", names, values)


def _total(numbers: Iterable[int | Decimal]) -> Decimal:
    return functools.reduce(lambda total, number: _exactly.add(total, Decimal(number)), numbers, Decimal(0))


def _plain(document: str | bytes) -> Item:
    item: Item = json.loads(document, parse_float=Decimal)
    return item
