// Who comes with the cookie that was set for an endpoint gets that endpoint again, also while it
// drains. For others the wrapped balancer chooses (`then`), or without one the eligible take turns.

package export_jackfield_plugin_balancing

import (
	"fmt"
	"hash/fnv"
	"strings"

	wit "go.bytecodealliance.org/pkg/wit/runtime"
	. "go.bytecodealliance.org/pkg/wit/types"

	. "wit_component/jackfield_plugin_balancing"
	"wit_component/jackfield_plugin_delegate"
	"wit_component/jackfield_plugin_endpoints"
	"wit_component/jackfield_plugin_reply"
	"wit_component/jackfield_plugin_request"
)

const (
	none  = 0xffff_ffff
	token = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
)

var (
	cookie    string
	keys      []string
	positions map[string]uint32
	states    []EndpointState
	turn      uint32
)

func Configure(settings string) Result[Unit, string] {
	// Compact JSON, which a token needs no parser for; encoding/json doubles a plugin's size.
	name, begins := strings.CutPrefix(settings, `{"cookie":"`)
	name, ends := strings.CutSuffix(name, `"}`)
	foreign := func(letter rune) bool { return !strings.ContainsRune(token, letter) }
	if !begins || !ends || name == "" || strings.ContainsFunc(name, foreign) {
		return Err[Unit, string](`sticky-by-cookie needs {"cookie": "NAME"}`)
	}
	cookie = name
	return Ok[Unit, string](Unit{})
}

func Update(endpoints EndpointSet) {
	keys, positions, states = nil, map[string]uint32{}, endpoints.States
	for i, address := range endpoints.Addresses {
		hash := fnv.New32a()
		hash.Write([]byte(address))
		key := fmt.Sprintf("%08x", hash.Sum32())
		keys = append(keys, key)
		positions[key] = uint32(i)
	}
}

func Pick(context PickContext) uint32 {
	// What the host handed over stays pinned until this is called.
	defer wit.Unpin()
	if endpoint, known := positions[jackfield_plugin_request.Cookie(cookie).SomeOr("")]; known {
		if states[endpoint] != EndpointState_Unhealthy && jackfield_plugin_endpoints.Candidate(endpoint) {
			return endpoint
		}
	}
	chosen := jackfield_plugin_delegate.Pick()
	for i := uint32(0); i < context.Endpoints && chosen == none; i++ {
		turn = (turn + 1) % context.Endpoints
		if jackfield_plugin_endpoints.Eligible(turn) {
			chosen = turn
		}
	}
	if chosen != none {
		// Forbidden where there are no headers.
		jackfield_plugin_reply.AppendHeader("set-cookie", cookie+"="+keys[chosen]+"; Path=/; HttpOnly; SameSite=Lax")
	}
	return chosen
}
