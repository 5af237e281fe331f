"""A client comes back to the endpoint that served it first, by a cookie that the settings name:
`{"cookie":"route"}`. The first choice is the wrapped balancer's (`then`), or without one they take turns."""

import json
import re
from itertools import count

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.balancing import EndpointState
from wit_world.imports import delegate, endpoints, reply, request

NONE = 0xFFFF_FFFF
cookie, keys, states, positions = "", [], [], {}
turns = count()


def key_of(address):
    """What a cookie says of an endpoint: FNV-1a of its address, in eight digits."""
    hash = 0x811C9DC5
    for byte in address.encode():
        hash = (hash ^ byte) * 0x01000193 & 0xFFFF_FFFF
    return f"{hash:08x}"


def kept():
    """The endpoint that the cookie names, if it may still have it: a draining one may, to finish the session."""
    endpoint = positions.get(request.cookie(cookie))
    if endpoint is None or states[endpoint] == EndpointState.UNHEALTHY or not endpoints.candidate(endpoint):
        return NONE
    return endpoint


def first():
    chosen = delegate.pick()
    if chosen != NONE:
        return chosen
    eligible = [endpoint for endpoint in range(len(keys)) if endpoints.eligible(endpoint)]
    return eligible[next(turns) % len(eligible)] if eligible else NONE


class Balancing(exports.Balancing):
    def configure(self, settings):
        global cookie
        match json.loads(settings):
            case {"cookie": str(name), **others} if re.fullmatch("[A-Za-z0-9_-]+", name) and not others:
                cookie = name
            case _:
                raise Err('sticky-by-cookie needs {"cookie": "NAME"}')

    def update(self, endpoints):
        global keys, states, positions
        keys, states = [key_of(address) for address in endpoints.addresses], endpoints.states
        positions = {key: position for position, key in enumerate(keys)}

    def pick(self, context):
        if (again := kept()) != NONE:
            return again
        chosen = first()
        if chosen != NONE:
            try:
                reply.append_header("set-cookie", f"{cookie}={keys[chosen]}; Path=/; HttpOnly; SameSite=Lax")
            except Err:
                pass  # At L4 there is no response to leave it in.
        return chosen
