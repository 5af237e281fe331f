// Every response says in `x-served-by` who passed it on: `{"value": "TEXT"}`.

package export_jackfield_plugin_filtering

import (
	"encoding/json"

	. "go.bytecodealliance.org/pkg/wit/types"

	. "wit_component/jackfield_plugin_filtering"
	edits "wit_component/jackfield_plugin_prepared_edits"
	"wit_component/jackfield_plugin_response"
)

var prepared uint32

func Configure(settings string) Result[Phases, string] {
	refused := Err[Phases, string](`{{name}} has one setting: {"value": "TEXT"}`)
	fields := map[string]string{"value": "jackfield"}
	if err := json.Unmarshal([]byte(settings), &fields); err != nil || len(fields) != 1 {
		return refused
	}
	set := edits.MakeActionSet(edits.MakeValueText(fields["value"]))
	result := edits.Prepare([]edits.Edit{
		{Name: "x-served-by", Action: set},
	})
	if result.IsErr() {
		return refused
	}
	prepared = result.Ok()
	return Ok[Phases, string](Phases_Response)
}

func OnRequest(context FilterContext) {}

func OnResponse(context FilterContext) {
	jackfield_plugin_response.Apply(prepared)
}
