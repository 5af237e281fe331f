// Lets requests pass that bring a known `x-api-key`, and tells the endpoint whose it is.

package export_jackfield_plugin_filtering

import (
	"encoding/json"

	wit "go.bytecodealliance.org/pkg/wit/runtime"
	. "go.bytecodealliance.org/pkg/wit/types"

	. "wit_component/jackfield_plugin_filtering"
	"wit_component/jackfield_plugin_request"
	edit "wit_component/jackfield_plugin_request_edit"
)

var consumers = map[string]string{}

func Configure(settings string) Result[Phases, string] {
	refused := Err[Phases, string](`api-key needs {"keys": {"KEY": "CONSUMER"}}`)
	// Pointers, since null would pass for "".
	var fields map[string]map[string]*string
	err := json.Unmarshal([]byte(settings), &fields)
	if err != nil || len(fields) != 1 || len(fields["keys"]) == 0 {
		return refused
	}
	for key, consumer := range fields["keys"] {
		if consumer == nil {
			return refused
		}
		consumers[key] = *consumer
	}
	return Ok[Phases, string](Phases_Request)
}

func OnRequest(context FilterContext) {
	// What the host handed over stays pinned until this is called.
	defer wit.Unpin()
	edit.RemoveHeader("x-consumer")
	key := jackfield_plugin_request.Header("x-api-key")
	consumer, known := consumers[key.SomeOr("")]
	if key.IsNone() || !known {
		headers := []Tuple2[string, string]{
			{F0: "www-authenticate", F1: "ApiKey"},
			{F0: "content-type", F1: "text/plain"},
		}
		edit.Answer(401, headers, []byte("a valid x-api-key is needed\n"))
		return
	}
	edit.SetHeader("x-consumer", consumer)
	edit.RemoveHeader("x-api-key")
}

func OnResponse(context FilterContext) {}
