// The Go side of the benchmark: what its rows share. They are in benches/rows/*/go.go; the runner puts all into
// one directory and builds one program. No modules from outside.
//
// Usage: main ROW [--workers N] [--name value]... [N]; GOMAXPROCS, if set, is stronger than --workers.
package main

import (
	"fmt"
	"hash/fnv"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The rows, which enter themselves.
var rows = map[string]func(Args){}

type Args struct {
	Workers int
	N       int // 0: not said
	options map[string]string
}

// How often: what the command line says, else the row's own number.
func (a Args) Count(own int) int {
	if a.N != 0 {
		return a.N
	}
	return own
}

// The value of --name, or "".
func (a Args) Option(name string) string { return a.options[name] }

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		fail(text + " is not a number")
	}
	return n
}

func fail(complaint string) {
	fmt.Fprintln(os.Stderr, complaint)
	os.Exit(2)
}

func main() {
	a := Args{Workers: 2, options: map[string]string{}}
	var words []string
	for rest := os.Args[1:]; len(rest) > 0; rest = rest[1:] {
		name, isOption := strings.CutPrefix(rest[0], "--")
		if !isOption {
			words = append(words, rest[0])
			continue
		}
		if len(rest) < 2 {
			fail(rest[0] + " needs a value")
		}
		a.options[name] = rest[1]
		rest = rest[1:]
	}
	if len(words) < 1 || len(words) > 2 {
		fail("usage: main ROW [--workers N] [--name value]... [N]")
	}
	if w := a.Option("workers"); w != "" {
		a.Workers = number(w)
	}
	if len(words) == 2 {
		a.N = number(words[1])
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(a.Workers)
	}
	run := rows[words[0]]
	if run == nil {
		fail("go has no row " + words[0])
	}
	run(a)
}

// Prints one result.
func report(metric string, value float64, unit string) {
	fmt.Printf("%s %.4f %s\n", metric, value, unit)
}

// Prints a time divided by a count, in nanoseconds.
func reportPer(metric string, t time.Duration, n int) {
	report(metric, float64(t.Nanoseconds())/float64(n), "ns")
}

// Prints a number that all systems must agree on: the runner compares what ends in _check.
func reportCheck(metric string, output []byte) {
	h := fnv.New64a()
	h.Write(output)
	report(metric, float64(h.Sum64()>>16), "sum")
}

// Prints the most memory this process has had.
func reportPeak(metric string) { report(metric, status("VmHWM")/(1<<20), "MiB") }

// A field of /proc/self/status that is a size, in bytes.
func status(field string) float64 {
	b, _ := os.ReadFile("/proc/self/status")
	for _, l := range strings.Split(string(b), "\n") {
		if strings.HasPrefix(l, field+":") {
			n, _ := strconv.ParseUint(strings.Fields(l)[1], 10, 64)
			return float64(n) * 1024
		}
	}
	panic("no field " + field)
}

// Processor time of this process so far, in seconds.
func cpu() float64 {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
}

func check(ok bool) {
	if !ok {
		panic("check failed")
	}
}
