"""The description of the API in OpenAPI 3.1, as it is served at ``/openapi.json``.

What every request has in common is added by `description`; a test compares the paths and methods
here with those that there are, and the fuzz test compares the answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ryu_l2iso.rest import batch
from ryu_l2iso.rest.call import Answer, Call, Routes, given
from ryu_l2iso.state.state import State
from ryu_l2iso.state.values import MAX_PORT_NO, KeyRange

PATH = "/openapi.json"

Schema = Mapping[str, Any]

_ID: Schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[^/]+$"}
_DPID: Schema = {"type": "string", "pattern": "^[0-9a-fA-F]{16}$"}
_PORT_NO: Schema = {"type": "integer", "minimum": 1, "maximum": MAX_PORT_NO}
_KEY: Schema = {"type": "integer", "minimum": 0}
_MAC: Schema = {
    "type": "string",
    "pattern": "^(?!00(:00){5}$)[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$",
}
_ANY: Schema = {"description": "Any JSON value."}


def _list_of(items: Schema) -> Schema:
    return {"type": "array", "items": items}


_LOCATION: Schema = {
    "type": "object",
    "properties": {"dpid": _DPID, "port_no": _PORT_NO, "name": {"type": "string"}},
    "required": ["dpid", "port_no", "name"],
}
_PORT_ID: Schema = {
    "description": "dpid, port_no",
    **_list_of({"type": "integer", "minimum": 0}),
    "minItems": 2,
    "maxItems": 2,
}
_ORDERS: Schema = {
    **_list_of(
        {
            "type": "object",
            "properties": {
                "method": {"enum": list(batch.METHODS)},
                "path": {"type": "string", "pattern": batch.ORDER_PATH},
                "body": _ANY,
            },
            "required": ["method", "path"],
            "additionalProperties": False,
        }
    ),
    "minItems": 1,
    "maxItems": batch.MAX_ORDERS,
}
_TOLD_OF_ERROR: Schema = {
    "code": {"type": "integer"},
    "title": {"type": "string"},
    "message": {"type": "string", "description": "The field, and the rule it breaks."},
}
_RESULTS: Schema = _list_of(
    {
        "description": "Of each order: its status, and what an error says besides.",
        "type": "object",
        "properties": _TOLD_OF_ERROR,
        "required": ["code"],
        "additionalProperties": False,
    }
)

_FIELDS: Mapping[str, tuple[Schema, str]] = {
    "network_id": (_ID, "Id of a network, at most 255 bytes in UTF-8."),
    "iface_id": (_ID, "Id of an interface, at most 255 bytes in UTF-8."),
    "name": (_ID, "Name of a value, at most 255 bytes in UTF-8."),
    "value": (_ID, "The value, at most 255 bytes in UTF-8."),
    "dpid": (_DPID, "Datapath id of a switch."),
    "remote_dpid": (_DPID, "Datapath id of the switch that the tunnel leads to."),
    "port_no": (_PORT_NO, "OpenFlow port number."),
    "port": (
        {"type": "string", "pattern": "^[0-9a-fA-F]{16}_[1-9][0-9]{0,9}$"},
        f"{{dpid}}_{{port_no}}, the number at most {MAX_PORT_NO}.",
    ),
    "key": (_KEY, "The key, in the range of the isolation in force."),
    "mac": (_MAC, "MAC of one station, not zero."),
}
"""Element of a path → its schema and description."""


class Operation(NamedTuple):
    """One method of one path.

    ``answer``: schema of the JSON value of a success, None for an empty body.  ``refused``: what
    it may be refused with besides what every request may.  ``body``: schema of what is put.
    """

    summary: str
    answer: Schema | None = None
    refused: tuple[int, ...] = ()
    code: int = 200
    body: Schema | None = None


_NETWORK = "/v1.0/networks/{network_id}"
_KEY_PATH = "/v1.0/tunnels/networks/{network_id}/key"
_TUNNELS = "/v1.0/tunnels/switches/{dpid}/ports"
_SWITCHES = "/v1.0/conf/switches"
_INTERFACE = "/v1.0/quantum/ports/{iface_id}"

OPERATIONS: Mapping[str, Mapping[str, Operation]] = {
    "/v1.0/networks": {"GET": Operation("Lists networks.", _list_of(_ID))},
    _NETWORK: {
        "GET": Operation("Lists the ports of a network.", _list_of(_PORT_ID), (404,)),
        "POST": Operation("Makes a network.", refused=(409,)),
        "PUT": Operation("Makes a network if it is missing.", refused=(409,)),
        "DELETE": Operation("Removes a network; its ports leave it.", refused=(404, 409)),
    },
    f"{_NETWORK}/{{port}}": {
        "POST": Operation("Puts a port into a network.", refused=(404, 409)),
        "PUT": Operation("Moves a port into a network.", refused=(404, 409)),
        "DELETE": Operation("Takes a port out of a network.", refused=(404, 409)),
    },
    f"{_NETWORK}/{{port}}/macs": {
        "GET": Operation("Lists the MAC of a port.", {**_list_of(_MAC), "maxItems": 1}, (404,)),
    },
    f"{_NETWORK}/{{port}}/macs/{{mac}}": {
        "POST": Operation("Gives a port its MAC.", refused=(404, 409)),
        "PUT": Operation("Gives a port its MAC unless it has it.", refused=(404, 409)),
    },
    _KEY_PATH: {
        "GET": Operation("Gives the key of a network.", _KEY, (404,)),
        "DELETE": Operation("Removes the key of a network.", refused=(404,)),
    },
    f"{_KEY_PATH}/{{key}}": {
        "POST": Operation("Gives a network its key.", refused=(409,)),
        "PUT": Operation("Gives a network its key unless it has it.", refused=(409,)),
    },
    "/v1.0/tunnels/networks/{network_id}/waits_for": {
        "GET": Operation(
            "Lists the switches that a network's key waits for.", _list_of(_DPID), (404,)
        ),
    },
    _TUNNELS: {"GET": Operation("Lists the tunnel ports of a switch.", _list_of(_PORT_NO))},
    f"{_TUNNELS}/{{port_no}}": {
        "GET": Operation("Tells where a tunnel port leads.", _DPID, (404,)),
        "DELETE": Operation("Removes a registered tunnel port.", refused=(404, 409)),
    },
    f"{_TUNNELS}/{{port_no}}/{{remote_dpid}}": {
        "POST": Operation("Registers a tunnel port.", refused=(409,)),
        "PUT": Operation("Registers a tunnel port unless it is.", refused=(409,)),
    },
    _SWITCHES: {"GET": Operation("Lists registered switches.", _list_of(_DPID))},
    f"{_SWITCHES}/{{dpid}}": {
        "GET": Operation("Lists the names of a switch's values.", _list_of(_ID), (404,)),
        "DELETE": Operation("Removes a switch's registration.", refused=(404,), code=202),
    },
    f"{_SWITCHES}/{{dpid}}/{{name}}": {
        "GET": Operation("Gives a value of a switch.", _ANY, (404,)),
        "PUT": Operation("Sets a value of a switch.", refused=(409,), code=201, body=_ANY),
        "DELETE": Operation("Removes a value of a switch.", refused=(404,)),
    },
    "/v1.0/quantum/ports": {"GET": Operation("Lists interfaces.", _list_of(_ID))},
    _INTERFACE: {"DELETE": Operation("Forgets the values of an interface.", refused=(404,))},
    f"{_INTERFACE}/keys": {
        "GET": Operation("Lists the names of an interface's values.", _list_of(_ID), (404,)),
    },
    f"{_INTERFACE}/keys/{{name}}": {
        "GET": Operation(
            "Gives a value of an interface; for the name ports, where it is plugged.",
            {"oneOf": [{"type": "string"}, _list_of(_LOCATION)]},
            (404,),
        ),
    },
    f"{_INTERFACE}/keys/{{name}}/{{value}}": {
        "POST": Operation("Gives an interface a value.", refused=(409,)),
        "PUT": Operation("Gives an interface a value unless it has it.", refused=(409,)),
    },
    batch.PATH: {
        "POST": Operation("Carries out many orders, each by itself.", _RESULTS, body=_ORDERS),
    },
    PATH: {"GET": Operation("Gives this description.", {"type": "object"})},
}
"""path → method → what it does; HEAD is wherever GET is."""

_REFUSALS: Mapping[int, str] = {
    400: "An element of the path, or the body, is not of its form.",
    401: "There is no token, or none that is good.",
    403: "The role of the token may not call this.",
    404: "What the path names is not known.",
    408: "The body did not come in time.",
    409: "The call contradicts what holds already.",
    413: "The body is too long.",
    503: "What was changed, or read, could not be written to disk and was taken back.",
}
_COMMON = (400, 401, 403, 408, 413, 503)

_ERROR: Schema = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": _TOLD_OF_ERROR,
            "required": ["code", "title", "message"],
            "additionalProperties": False,
        }
    },
    "required": ["error"],
    "additionalProperties": False,
}


class Description:
    """Serves the description of the API over a state."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> Routes:
        """Return path → method → handler."""
        return {PATH: {"GET": self._get}}

    def _get(self, call: Call) -> Answer:
        return given(description(self._state.networks.key_range))


def description(key_range: KeyRange | None) -> dict[str, Any]:
    """Return the description, a JSON value, for keys of this range."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ryu_l2iso REST",
            "version": "1.0",
            "description": "What Quantum plugins and compute-node agents call.",
        },
        "paths": {path: dict(_methods(path, key_range)) for path in OPERATIONS},
        "components": {
            "schemas": {"Error": _ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        # Without a token file, on a loopback address, no token is needed.
        "security": [{"token": []}, {}],
    }


def _methods(path: str, key_range: KeyRange | None) -> Iterator[tuple[str, Any]]:
    fields = re.findall(r"{(\w+)}", path)
    yield "parameters", [_parameter(field, key_range) for field in fields]
    for method, operation in OPERATIONS[path].items():
        yield method.lower(), _operation(operation, operation.answer)
        if method == "GET":
            yield "head", _operation(operation, None)


def _parameter(field: str, key_range: KeyRange | None) -> dict[str, Any]:
    schema, text = _FIELDS[field]
    if field == "key" and key_range is not None:
        schema = {"type": "integer", "minimum": key_range.first, "maximum": key_range.last}
    return {"name": field, "in": "path", "required": True, "schema": schema, "description": text}


def _operation(operation: Operation, given_schema: Schema | None) -> dict[str, Any]:
    success: dict[str, Any] = {"description": "Done."}
    if given_schema is not None:
        success["content"] = _json(given_schema)
    codes = sorted({*_COMMON, *operation.refused})
    described: dict[str, Any] = {
        "summary": operation.summary,
        "responses": {
            str(operation.code): success,
            **{str(code): _refusal(code) for code in codes},
        },
    }
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": _json(operation.body)}
    return described


def _refusal(code: int) -> dict[str, Any]:
    # The answer to HEAD has no body; a description that gives one allows that.
    content = _json({"$ref": "#/components/schemas/Error"})
    return {"description": _REFUSALS[code], "content": content}


def _json(schema: Schema) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
