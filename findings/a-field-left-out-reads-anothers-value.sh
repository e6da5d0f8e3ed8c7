#!/usr/bin/env bash
# One would guess: a Compact serializer that leaves a field out where the object has none (if order.discount: ...)
# makes a record without that field; or the client refuses it.
# What happens: the schema is made of the first object of the class, for good. A later object's field that is not
# written is read from where the record begins: a fixed number as 0, a nullable number as another field's value, and a
# string takes such a value for its length: empty, or EOFError, as it comes. A field that only later objects have raises
# for each of them.
# Why it matters: a number stands that nobody has written, without an error; and which of two programs sees it depends
# on the object that each happened to write first. Write every field, with None in a nullable one.
. "$(dirname "$0")/lib-member.sh"

finding <<'PYTHON'
from hazelcast.serialization.api import CompactSerializer

from seen import compare, connect, end

KINDS = {"count": "int64", "discount": "nullable_int64", "note": "string", "number": "nullable_int64", "tip": "int64"}


class Order(dict):
    pass


class OrderSerializer(CompactSerializer):
    def get_type_name(self):
        return "order"

    def get_class(self):
        return Order

    def write(self, writer, order):
        for name, kind in KINDS.items():
            if name in order:
                getattr(writer, f"write_{kind}")(name, order[name])

    def read(self, reader):
        return {name: self.field(reader, name, kind) for name, kind in KINDS.items() if name != "tip"}

    def field(self, reader, name, kind):
        try:
            return getattr(reader, f"read_{kind}")(name)
        except Exception as error:
            return type(error).__name__


client = connect(compact_serializers=[OrderSerializer()])
orders = client.get_map("orders").blocking()


def read_back(order):
    orders.set(1, order)
    return orders.get(1)


whole = Order(count=5, discount=10, note="gift", number=99)
compare("all fields", read_back(whole), dict(whole))


def without(name, **changes):
    return read_back(Order({each: value for each, value in {**whole, **changes}.items() if each != name}))[name]


compare("count (INT64) left out, reads", without("count"), 0)
compare("discount (NULLABLE_INT64) left out, count=5, reads", without("discount"), 5)
compare("the same, count=6", without("discount", count=6), 6)
compare("note (STRING) left out, count=5, reads", without("note"), "")
compare("the same, count=2**40", without("note", count=2**40), "EOFError")


def error_of(order):
    try:
        return read_back(order)
    except Exception as error:
        return type(error).__name__


compare("a field that the first object had not", error_of(Order(whole, tip=1)), "HazelcastSerializationError")
end(client)
PYTHON
