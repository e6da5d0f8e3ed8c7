"""Messages and dead letters as they are written: keys and records of any size."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from grid_inference.flow.encode import PredictionEncoder, encode_dead_letters
from grid_inference.model.signature import Signature
from grid_inference.records import PREDICTION_MESSAGE, DeadLetter, DeadLetterBatch, PredictionBatch
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import decode_record
from grid_inference.wire.keys import encode_keys, key_text
from tests.requests import messages_of

MEGABYTE = 1 << 20


@pytest.mark.parametrize("size", [5, MEGABYTE // 2 - 8, MEGABYTE // 2, MEGABYTE])
def test_each_message_holds_its_own_key(size: int) -> None:
    keys = Blobs.concat([encode_keys(np.arange(40)), encode_keys([b"\xfe" * size])])
    some, batch = np.arange(len(keys)), len(keys)
    predictions = PredictionBatch(
        keys=keys,
        partitions=np.zeros(batch, np.int32),
        digests=some,
        score=some / batch,
        label_index=(some % 2).astype(np.int32),
        scores=np.stack([1 - some / batch, some / batch], axis=1),
        epochs=np.zeros(batch, np.int64),
        scored_at_us=1,
    )
    encoder = PredictionEncoder("d", "m", 1, Signature((), "classifier", ("no", "yes")))
    records, requests = encoder.messages(predictions, "t")
    assert messages_of(requests) == records.tolist()
    found = [decode_record(PREDICTION_MESSAGE, record) for record in records.tolist()]
    texts = {text: row for row, text in enumerate(key_text(keys))}
    assert len(found) == len(texts) == batch
    for each in found:
        row = texts[each["key"]]
        assert np.array(each["key_data"], np.int8).tobytes() == keys[row]
        assert (each["input_digest"], each["score"], each["label"]) == (row, row / batch, ("no", "yes")[row % 2])


def test_a_dead_letter_takes_some_copies_of_its_record_and_no_more() -> None:
    record = bytes(range(256)) * (MEGABYTE // 256)
    dead = DeadLetterBatch(
        keys=encode_keys([1]),
        partitions=np.zeros(1, np.int32),
        digests=np.zeros(1, np.int64),
        records=Blobs.of([record]),
        causes=["UNDECODABLE"],
        messages=["no record"],
    )
    tracemalloc.start()
    (written,) = encode_dead_letters(dead, {"deployment": "d", "model": "m", "version": 1}, 1).tolist()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert DeadLetter.decode(encode_keys([1])[0], written).record == record
    assert peak < 8 * MEGABYTE
