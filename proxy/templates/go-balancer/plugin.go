// Endpoints take turns, at first those with a label: `{"prefer": "LABEL"}`.

package export_jackfield_plugin_balancing

import (
	"encoding/json"

	. "go.bytecodealliance.org/pkg/wit/types"

	. "wit_component/jackfield_plugin_balancing"
	"wit_component/jackfield_plugin_endpoints"
)

const none = 0xffff_ffff

type group struct {
	endpoints []uint32
	turn      int
}

var (
	prefer            string // none is "", which is no label
	preferred, others group
)

func Configure(settings string) Result[Unit, string] {
	var fields map[string]string
	err := json.Unmarshal([]byte(settings), &fields)
	label, given := fields["prefer"]
	if err != nil || len(fields) > 1 || len(fields) == 1 && !given {
		return Err[Unit, string](`{{name}} has one setting: {"prefer": "LABEL"}`)
	}
	prefer = label
	return Ok[Unit, string](Unit{})
}

func isPreferred(labels []Tuple2[string, string]) bool {
	for _, label := range labels {
		if label.F0 == prefer {
			return true
		}
	}
	return false
}

func Update(set EndpointSet) {
	preferred, others = group{}, group{}
	for i, labels := range set.Labels {
		of := &others
		if isPreferred(labels) {
			of = &preferred
		}
		of.endpoints = append(of.endpoints, uint32(i))
	}
}

func (of *group) next() uint32 {
	for range of.endpoints {
		endpoint := of.endpoints[of.turn%len(of.endpoints)]
		of.turn++
		if jackfield_plugin_endpoints.Eligible(endpoint) {
			return endpoint
		}
	}
	return none
}

func Pick(context PickContext) uint32 {
	if chosen := preferred.next(); chosen != none {
		return chosen
	}
	return others.next()
}
