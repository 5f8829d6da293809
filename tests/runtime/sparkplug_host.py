"""A Sparkplug host: reads payloads by Google's protobuf, from the fields that Sparkplug 3.0.0 lists in 6.4.1."""

from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from tests.runtime.mes import Subscriber

FIELD = descriptor_pb2.FieldDescriptorProto
PAYLOAD = {"timestamp": (1, FIELD.TYPE_UINT64), "metrics": (2, FIELD.TYPE_MESSAGE), "seq": (3, FIELD.TYPE_UINT64)}
METRIC = {
    "name": (1, FIELD.TYPE_STRING),
    "alias": (2, FIELD.TYPE_UINT64),
    "timestamp": (3, FIELD.TYPE_UINT64),
    "datatype": (4, FIELD.TYPE_UINT32),
    "is_historical": (5, FIELD.TYPE_BOOL),
    "is_transient": (6, FIELD.TYPE_BOOL),
    "is_null": (7, FIELD.TYPE_BOOL),
    "int_value": (10, FIELD.TYPE_UINT32),
    "long_value": (11, FIELD.TYPE_UINT64),
    "float_value": (12, FIELD.TYPE_FLOAT),
    "double_value": (13, FIELD.TYPE_DOUBLE),
    "boolean_value": (14, FIELD.TYPE_BOOL),
    "string_value": (15, FIELD.TYPE_STRING),
}


def _payload_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug_b.proto", package="spb", syntax="proto2")
    for name, fields in (("Payload", PAYLOAD), ("Metric", METRIC)):
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            label = FIELD.LABEL_REPEATED if field == "metrics" else FIELD.LABEL_OPTIONAL
            kinds = {"type_name": ".spb.Metric"} if field == "metrics" else {}
            message.field.add(name=field, number=number, type=kind, label=label, **kinds)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("spb.Payload"))


Payload = _payload_class()


def values(payload: Any) -> dict[str, Any]:
    """Every metric's value by its name; None where it is null."""
    return {metric.name: value(metric) for metric in payload.metrics}


def value(metric: Any) -> Any:
    if metric.is_null:
        return None
    (field,) = [name for name in METRIC if name.endswith("_value") and metric.HasField(name)]
    return getattr(metric, field)


def kind(message: paho.MQTTMessage) -> str:
    """NBIRTH, DDATA ..."""
    return message.topic.split("/")[2]


class Host:
    """Hears a group, and asks for rebirth."""

    def __init__(self, mes: Subscriber) -> None:
        self.mes = mes

    def heard(self, wanted: str) -> list[Any]:
        """The payloads of one kind (NBIRTH, DDATA ...), in order."""
        return [self.read(message) for message in list(self.mes.messages) if kind(message) == wanted]

    def read(self, message: paho.MQTTMessage) -> Any:
        """One message's payload."""
        return Payload.FromString(message.payload)

    def wait_for(self, wanted: str, count: int) -> list[Any]:
        self.mes.wait_for(lambda: sum(kind(message) == wanted for message in self.mes.messages) >= count)
        return self.heard(wanted)

    def ask_for_rebirth(self, topic: str, reached: Callable[[], bool]) -> None:
        """Ask until `reached`: a subscription is not in force the moment we connect."""
        command = Payload(timestamp=1)
        command.metrics.add(name="Node Control/Rebirth", datatype=11, boolean_value=True)
        self.mes.send_until(topic, command.SerializeToString(), reached)
