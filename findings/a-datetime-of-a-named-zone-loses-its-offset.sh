#!/usr/bin/env bash
# One would guess: an aware datetime that a Compact serializer writes with write_timestamp_with_timezone is the same
# moment when it is read, whatever class its zone is of.
# What happens: the client asks the zone for its offset without saying when. A zone whose offset changes in the year
# (ZoneInfo) does not know then, and 0 is written beside the wall clock: noon in Berlin is read as noon in UTC. A
# fixed datetime.timezone is right, and so is what was brought to UTC before.
# Why it matters: the moment is hours off for everybody, without an error.
also=tzdata==2025.2
. "$(dirname "$0")/lib-member.sh"

finding <<'PYTHON'
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from hazelcast.serialization.api import CompactSerializer

from seen import compare, connect, end


class Order:
    def __init__(self, at):
        self.at = at


class OrderSerializer(CompactSerializer):
    def get_type_name(self):
        return "order"

    def get_class(self):
        return Order

    def write(self, writer, order):
        writer.write_timestamp_with_timezone("at", order.at)

    def read(self, reader):
        return Order(reader.read_timestamp_with_timezone("at"))


client = connect(compact_serializers=[OrderSerializer()])
orders = client.get_map("orders").blocking()


def read_back(at):
    """How much later than it was put a moment is read."""
    orders.set(1, Order(at))
    return str(orders.get(1).at - at)


berlin = datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))
compare("noon of a summer's day, ZoneInfo('Europe/Berlin')", read_back(berlin), "2:00:00")
compare("the same of a winter's day", read_back(berlin.replace(month=1)), "1:00:00")
compare("noon, timezone(timedelta(hours=2))", read_back(berlin.replace(tzinfo=timezone(timedelta(hours=2)))), "0:00:00")
compare("the first, .astimezone(timezone.utc)", read_back(berlin.astimezone(timezone.utc)), "0:00:00")
compare("ZoneInfo('UTC')", read_back(berlin.replace(tzinfo=ZoneInfo("UTC"))), "0:00:00")
end(client)
PYTHON
