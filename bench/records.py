"""Records of ten numbers and five texts, as Compact and as JSON; and the listener trigger."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bench.compare import Results, Sizes, best_predict, described, listener_per_s, predict_per_s
from bench.engine import Tables
from bench.helpers import Helper
from bench.ours import JSON, TABLE, Backlog, Ours
from bench.peers import RECORD_TYPE, BareFrame, ListenerScorer, StockObjects
from grid_inference.node.workers import cores

__all__ = ["records"]

DTYPES: Final = ("object", "str")


def records(ours: Ours, models: dict[str, Path], sizes: Sizes, results: Results) -> None:
    """Decoding, a whole flow with a ColumnTransformer, JSON against Compact, the listener trigger."""
    decoding(sizes, results)
    column_transformer(ours, models["mixed"], sizes, results)
    listener_trigger(ours, models["lr"], sizes, results)


def decoding(sizes: Sizes, results: Results) -> None:
    """Bytes of records to Arrow, against the ordinary client's objects."""
    ours, stock = list[float](), list[float]()
    with Helper(Tables, sizes.mixed) as tables, Helper(StockObjects, sizes.mixed // 10) as objects:
        for each in (tables, objects):
            each.call("decode")
        for _ in range(sizes.repeats):
            stock.append(sizes.mixed // 10 / objects.call("decode"))
            ours.append(sizes.mixed / tables.call("decode"))
    results.ratio("decode_arrow_of_objects", ours, stock)


def column_transformer(ours: Ours, model: Path, sizes: Sizes, results: Results) -> None:
    """A backlog of Compact records against the same model's bare predict on a DataFrame, and against JSON values."""
    compact, values, bare = list[Backlog](), list[Backlog](), list[float]()
    with ExitStack() as stack:
        helpers = [stack.enter_context(Helper(BareFrame, model, sizes.bare_hgb)) for _ in range(cores())]
        best = best_predict(helpers, sizes.bare_hgb, DTYPES)
        for _ in range(sizes.repeats):
            bare.append(predict_per_s(helpers, sizes.bare_hgb, *best))
            compact.append(ours.backlog(model, sizes.mixed, load=TABLE))
            values.append(ours.backlog(model, sizes.mixed, load=JSON))
    results.ratio("backlog_transformer_of_bare", (one.per_s for one in compact), bare)
    results.ratio("backlog_json_of_compact", (one.per_s for one in values), (one.per_s for one in compact))
    results.details["backlog_transformer"] = described(compact)
    results.details["backlog_json"] = described(values)
    results.details["bare_frame"] = dict(zip(("processes", "threads", "batch", "dtype"), best, strict=True))


def listener_trigger(ours: Ours, model: Path, sizes: Sizes, results: Results) -> None:
    """Records scored as they are put, by entry events, against an entry listener that predicts row by row."""
    events, row_by_row = list[float](), list[float]()
    address, cluster = ours.grid.address, ours.grid.cluster_name
    with Helper(ListenerScorer, address, cluster, model) as peer:
        listener_per_s(ours, [peer], sizes.listener // 4, 0)
        ours.listened(model, sizes.listened)
        for turn in range(sizes.repeats):
            row_by_row.append(listener_per_s(ours, [peer], sizes.listener, (turn + 1) * sizes.listener))
            events.append(ours.listened(model, sizes.listened))
    ours.client.get_map(RECORD_TYPE).blocking().destroy()
    results.ratio("listened_of_listener", events, row_by_row)
