"""Every response says in `x-served-by` who passed it on: `{"value": "TEXT"}`."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.filtering import Phases
from wit_world.imports import prepared_edits, response
from wit_world.imports.prepared_edits import Action_Set, Edit, Value_Text

edits = None  # the number of what was prepared


class Filtering(exports.Filtering):
    def configure(self, settings):
        global edits
        settings = json.loads(settings)
        value = settings.pop("value", "jackfield")
        try:
            if settings or not isinstance(value, str):
                raise Err(None)
            edits = prepared_edits.prepare([Edit("x-served-by", Action_Set(Value_Text(value)))])
        except Err:
            raise Err('{{name}} has one setting: {"value": "TEXT"}')
        return Phases.RESPONSE

    def on_request(self, context):
        pass

    def on_response(self, context):
        response.apply(edits)
