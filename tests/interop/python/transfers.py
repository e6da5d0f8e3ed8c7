"""Hears what is predicted of transfers, puts three of them, and reads their predictions, by the stock client."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from queue import Queue
from typing import Any

import hazelcast
from hazelcast.config import IntType
from hazelcast.core import HazelcastJsonValue
from hazelcast.serialization.api import CompactReader, CompactSerializer, CompactWriter


@dataclass
class Transfer:
    """Our record; a distance of None is not known."""

    amount: float
    hour: int
    distance: float | None


class TransferSerializer(CompactSerializer[Transfer]):
    """Writes every field always, by name."""

    def get_type_name(self) -> str:
        return "transfers"

    def get_class(self) -> type[Transfer]:
        return Transfer

    def read(self, reader: CompactReader) -> Transfer:
        return Transfer(
            reader.read_float64("amount"), reader.read_int32("hour"), reader.read_nullable_float64("distance")
        )

    def write(self, writer: CompactWriter, obj: Transfer) -> None:
        writer.write_float64("amount", obj.amount)
        writer.write_nullable_float64("distance", obj.distance)
        writer.write_int32("hour", obj.hour)


@dataclass
class Prediction:
    """A grid_inference.Prediction, as far as we want to know it."""

    label: str | None
    score: float
    scores: list[float] | None
    version: int
    input_digest: int


class PredictionSerializer(CompactSerializer[Prediction]):
    """Without one, every read of a prediction raises."""

    def get_type_name(self) -> str:
        return "grid_inference.Prediction"

    def get_class(self) -> type[Prediction]:
        return Prediction

    def read(self, reader: CompactReader) -> Prediction:
        return Prediction(
            reader.read_string("label"),
            reader.read_float64("score"),
            reader.read_array_of_float64("scores"),
            reader.read_int32("version"),
            reader.read_int64("input_digest"),
        )

    def write(self, writer: CompactWriter, obj: Prediction) -> None:
        raise NotImplementedError("predictions are read only")


@dataclass
class Message:
    """A grid_inference.PredictionMessage."""

    key: str
    label: str | None
    score: float


class MessageSerializer(CompactSerializer[Message]):
    """For what the topic brings."""

    def get_type_name(self) -> str:
        return "grid_inference.PredictionMessage"

    def get_class(self) -> type[Message]:
        return Message

    def read(self, reader: CompactReader) -> Message:
        return Message(reader.read_string("key"), reader.read_string("label"), reader.read_float64("score"))

    def write(self, writer: CompactWriter, obj: Message) -> None:
        raise NotImplementedError("messages are read only")


def main(address: str, cluster_name: str) -> None:
    client = hazelcast.HazelcastClient(
        cluster_name=cluster_name,
        cluster_members=[address],
        compact_serializers=[TransferSerializer(), PredictionSerializer(), MessageSerializer()],
        default_int_type=IntType.LONG,  # or 4711 is an INT, which is another key
    )
    transfers = client.get_map("transfers").blocking()
    predictions = client.get_map("scam.predictions").blocking()
    heard: Queue[str] = Queue()

    def changed(event: Any) -> None:
        heard.put(f"event {event.key} {event.value.label} {event.value.score}")

    def published(event: Any) -> None:
        heard.put(f"message {event.message.key} {event.message.label} {event.message.score}")

    predictions.add_entry_listener(include_value=True, added_func=changed, updated_func=changed)
    client.get_topic("scam.predictions").blocking().add_listener(published)

    records = {
        "order-1": Transfer(912.35, 3, 81.7),  # STRING
        4711: HazelcastJsonValue({"amount": 12.5, "hour": 15, "distance": 1.25}),  # LONG
        47.5: Transfer(312.5, 12, 81.7),  # DOUBLE
    }
    for key, record in records.items():
        transfers.set(key, record)
    for _ in range(6):  # an event and a message of each
        print(heard.get(timeout=30))
    for key in records:
        found = predictions.get(key)  # None, if there is none
        print("read", key, found.label, found.score, found.version)
    client.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
