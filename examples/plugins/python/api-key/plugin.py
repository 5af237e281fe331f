"""Who may ask, and who asks: a request with a known `x-api-key` goes on as its consumer's, every other
is answered 401. Settings: `{"keys":{"KEY":"CONSUMER"}}`."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.filtering import Phases
from wit_world.imports import request, request_edit

consumers = {}


class Filtering(exports.Filtering):
    def configure(self, settings):
        global consumers
        match json.loads(settings):
            case {"keys": dict(keys), **others} if (
                keys and not others and all(isinstance(consumer, str) for consumer in keys.values())
            ):
                consumers = keys
            case _:
                raise Err('api-key needs {"keys": {"KEY": "CONSUMER"}}')
        return Phases.REQUEST

    def on_request(self, context):
        request_edit.remove_header("x-consumer")  # it is ours to say
        consumer = consumers.get(request.header("x-api-key"))
        if consumer is None:
            headers = [("www-authenticate", "ApiKey"), ("content-type", "text/plain")]
            request_edit.answer(401, headers, b"a valid x-api-key is needed\n")
            return
        request_edit.set_header("x-consumer", consumer)
        request_edit.remove_header("x-api-key")

    def on_response(self, context):
        pass
