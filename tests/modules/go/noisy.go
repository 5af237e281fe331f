// Tries what Go's runtime and standard library can do, and tells when it finds something amiss: a
// clock, randomness and output are there, goroutines run, and nothing else is there.

package export_jackfield_plugin_balancing

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	wit "go.bytecodealliance.org/pkg/wit/runtime"
	. "go.bytecodealliance.org/pkg/wit/types"

	. "wit_component/jackfield_plugin_balancing"
	"wit_component/jackfield_plugin_request"
)

var action string

func amiss() string {
	begin := time.Now()
	if begin.Unix() < 1_700_000_000 {
		return "it is long ago"
	}
	time.Sleep(time.Millisecond)
	if time.Since(begin) < time.Millisecond {
		return "sleep does not sleep"
	}
	first, second := make([]byte, 13), make([]byte, 13)
	rand.Read(first)
	rand.Read(second)
	if string(first) == string(second) {
		return "random bytes repeat"
	}
	if len(os.Args) != 0 || len(os.Environ()) != 0 {
		return "there are arguments or an environment"
	}
	if _, err := os.ReadFile("/etc/passwd"); err == nil {
		return "there are files"
	}
	if _, err := net.Dial("tcp", "127.0.0.1:1"); err == nil {
		return "there is a network"
	}
	if recovered() != "a reason" {
		return "panics cannot be recovered from"
	}
	return ""
}

func recovered() (reason any) {
	defer func() { reason = recover() }()
	panic("a reason")
}

func Configure(settings string) Result[Unit, string] {
	fmt.Println("Go says hello")
	if what := amiss(); what != "" {
		return Err[Unit, string](what)
	}
	action = strings.Split(settings+`"""`, `"`)[3]
	return Ok[Unit, string](Unit{})
}

func Update(endpoints EndpointSet) {}

func Pick(context PickContext) uint32 {
	defer wit.Unpin()
	switch action {
	case "panic":
		return uint32(len(reason(2)))
	case "block":
		select {}
	case "exit":
		os.Exit(3)
	case "goroutines":
		return goroutines()
	case "garbage":
		return garbage()
	}
	return 0
}

//go:noinline
func reason(depth int) string {
	if depth == 0 {
		panic("the reason of it")
	}
	return reason(depth-1) + "."
}

// The sum of what ten goroutines send, less what it should be.
func goroutines() uint32 {
	results := make(chan uint32)
	var group sync.WaitGroup
	for i := range uint32(10) {
		group.Go(func() {
			runtime.Gosched()
			results <- i
		})
	}
	go func() {
		group.Wait()
		close(results)
	}()
	sum := uint32(0)
	for result := range results {
		sum += result
	}
	return sum - 45
}

// Makes the collector run while the host waits: what it hands over is allocated by Go.
func garbage() uint32 {
	for range 20 {
		if len(jackfield_plugin_request.Header("x-large").SomeOr("")) != 8192 {
			return 1
		}
		wit.Unpin()
	}
	return 0
}
