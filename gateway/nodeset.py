"""The nodeset of OPC 40100-1: the types that clients know machine vision by, under their official node ids.

The file is the OPC Foundation's, unchanged and under the licence in its head (MIT). Types of our own making would have
to repeat all of it: a client takes a node for a VisionSystemType by its node id and by every mandatory part.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asyncua import Server, ua

MACHINE_VISION = "http://opcfoundation.org/UA/MachineVision"
NODESET = Path(__file__).parent / "nodesets" / "Opc.Ua.MachineVision.NodeSet2.xml"
VISION_SYSTEM_TYPE, RESULT_MANAGEMENT_TYPE, RESULT_READY_EVENT_TYPE, BINARY_ID_BASE_DATA_TYPE = 1003, 1007, 1024, 3019
"""Numeric node ids in it."""


async def load_nodeset(server: Server) -> Mapping[str, Any]:
    """Read the nodeset into `server`; gives the classes of its structures by their names."""
    await server.import_xml(NODESET)
    await _complete_definitions(server)
    return {**vars(ua), **await server.load_data_type_definitions()}


async def _complete_definitions(server: Server) -> None:
    """Define the three structures that only inherit.

    The file leaves them empty, asyncua then serves no definition, and a client cannot read any result.
    """
    index = await server.get_namespace_index(MACHINE_VISION)
    base = server.get_node(ua.NodeId(BINARY_ID_BASE_DATA_TYPE, index))
    inherited = await base.read_data_type_definition()
    for node in await base.get_children(refs=ua.ObjectIds.HasSubtype):
        encodings = await node.get_references(ua.ObjectIds.HasEncoding)
        (binary,) = [each.NodeId for each in encodings if each.BrowseName.Name == "Default Binary"]
        definition = ua.StructureDefinition(binary, base.nodeid, inherited.StructureType, list(inherited.Fields))
        value = ua.DataValue(ua.Variant(definition, ua.VariantType.ExtensionObject))
        await node.write_attribute(ua.AttributeIds.DataTypeDefinition, value)
