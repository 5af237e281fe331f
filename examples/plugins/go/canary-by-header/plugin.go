// A request with the header `x-canary` goes to the endpoints that are labelled `canary`, every other
// to the rest. Among them the wrapped balancer chooses (`then`), or without one they take turns.

package export_jackfield_plugin_balancing

import (
	wit "go.bytecodealliance.org/pkg/wit/runtime"
	. "go.bytecodealliance.org/pkg/wit/types"

	. "wit_component/jackfield_plugin_balancing"
	"wit_component/jackfield_plugin_delegate"
	"wit_component/jackfield_plugin_endpoints"
	"wit_component/jackfield_plugin_request"
)

const none = 0xffff_ffff

var canaries, others []uint32
var turn int

func isCanary(labels []Tuple2[string, string]) bool {
	for _, label := range labels {
		if label.F0 == "canary" {
			return true
		}
	}
	return false
}

func Configure(settings string) Result[Unit, string] {
	if settings != "{}" {
		return Err[Unit, string]("canary-by-header has no settings")
	}
	return Ok[Unit, string](Unit{})
}

func Update(endpoints EndpointSet) {
	canaries, others = nil, nil
	for i, labels := range endpoints.Labels {
		if isCanary(labels) {
			canaries = append(canaries, uint32(i))
		} else {
			others = append(others, uint32(i))
		}
	}
}

func Pick(context PickContext) uint32 {
	// What the host handed over stays pinned until this is called.
	defer wit.Unpin()
	wanted, rest := others, canaries
	if jackfield_plugin_request.Header("x-canary").IsSome() {
		wanted, rest = canaries, others
	}
	if chosen := choose(wanted); chosen != none {
		return chosen
	}
	return choose(rest)
}

func choose(group []uint32) uint32 {
	if chosen := jackfield_plugin_delegate.PickAmong(group); chosen != none {
		return chosen
	}
	turn++
	for i := range group {
		endpoint := group[(turn+i)%len(group)]
		if jackfield_plugin_endpoints.Eligible(endpoint) {
			return endpoint
		}
	}
	return none
}
