// The Go side of the benchmarks: the same programs as core and peers, printing "name value unit" lines.
// Usage: main <row> [n]; GOMAXPROCS sets the number of processors. No modules from outside.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func out(name string, v float64, unit string) { fmt.Printf("%s %.4f %s\n", name, v, unit) }

// A field of /proc/self/status, in bytes.
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

func cpu() float64 {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
}

func per(t time.Duration, n int) float64 { return float64(t.Nanoseconds()) / float64(n) }

func check(ok bool) {
	if !ok {
		panic("check failed")
	}
}

func spawn(n int) {
	t := time.Now()
	var wg sync.WaitGroup
	wg.Add(n)
	for i := 0; i < n; i++ {
		go wg.Done()
	}
	wg.Wait()
	out("spawn", per(time.Since(t), n), "ns/task")
	out("spawn_peak_rss", status("VmHWM")/(1<<20), "MiB")
}

// apart: both sides run at the same time before they talk, so they begin on two processors.
func pair(rounds int, wg *sync.WaitGroup, apart bool) {
	a, b := make(chan uint64), make(chan uint64)
	var here atomic.Int64
	meet := func() {
		if apart {
			for here.Add(1); here.Load() < 2; {
			}
		}
	}
	go func() {
		meet()
		for i := 0; i < rounds; i++ {
			b <- <-a + 1
		}
		wg.Done()
	}()
	go func() {
		meet()
		for i := 0; i < rounds; i++ {
			a <- uint64(i)
			check(<-b == uint64(i)+1)
		}
		wg.Done()
	}()
}

func pingpong(name string, pairs, rounds int, apart bool) {
	t := time.Now()
	var wg sync.WaitGroup
	wg.Add(2 * pairs)
	for i := 0; i < pairs; i++ {
		pair(rounds, &wg, apart)
	}
	wg.Wait()
	out(name, per(time.Since(t), pairs*rounds), "ns/roundtrip")
}

func through(name string, np, nc, cap, n int) {
	t := time.Now()
	c := make(chan uint64, cap)
	var pw, cw sync.WaitGroup
	var sum atomic.Uint64
	pw.Add(np)
	cw.Add(nc)
	p := n / np
	for i := 0; i < np; i++ {
		go func() {
			for i := 0; i < p; i++ {
				c <- uint64(i)
			}
			pw.Done()
		}()
	}
	for i := 0; i < nc; i++ {
		go func() {
			var s uint64
			for v := range c {
				s += v
			}
			sum.Add(s)
			cw.Done()
		}()
	}
	pw.Wait()
	close(c)
	cw.Wait()
	d := time.Since(t)
	check(sum.Load() == uint64(np)*(uint64(p)*uint64(p-1)/2))
	out(name, per(d, n), "ns/msg")
}

func sel(name string, cap, n int) {
	t := time.Now()
	p := n / 2
	c0, c1 := make(chan int, cap), make(chan int, cap)
	for _, ch := range []chan int{c0, c1} {
		go func() {
			for i := 0; i < p; i++ {
				ch <- i
			}
		}()
	}
	s := 0
	for i := 0; i < p*2; i++ {
		select {
		case v := <-c0:
			s += v
		case v := <-c1:
			s += v
		}
	}
	d := time.Since(t)
	check(s == p*(p-1))
	out(name, per(d, n), "ns/msg")
}

func pool(n int) {
	t := time.Now()
	jobs, results := make(chan int, 100), make(chan int, 100)
	for w := 0; w < 2; w++ {
		go func() {
			for j := range jobs {
				results <- j * 2
			}
		}()
	}
	go func() {
		for i := 0; i < n; i++ {
			jobs <- i
		}
		close(jobs)
	}()
	s := 0
	for i := 0; i < n; i++ {
		s += <-results
	}
	d := time.Since(t)
	check(s == n*(n-1))
	out("pool", per(d, n), "ns/job")
}

func yield(n int) {
	t := time.Now()
	var wg sync.WaitGroup
	wg.Add(2)
	for i := 0; i < 2; i++ {
		go func() {
			for i := 0; i < n; i++ {
				runtime.Gosched()
			}
			wg.Done()
		}()
	}
	wg.Wait()
	out("yield", per(time.Since(t), 2*n), "ns/yield")
}

func blocked(n int) {
	rss, pte := status("VmRSS"), status("VmPTE")
	var started atomic.Int64
	var wg sync.WaitGroup
	wg.Add(n)
	c := make(chan uint64)
	t := time.Now()
	for i := 0; i < n; i++ {
		go func() {
			started.Add(1)
			check(<-c == 1)
			wg.Done()
		}()
	}
	a := time.Since(t)
	for started.Load() < int64(n) {
		runtime.Gosched()
	}
	time.Sleep(300 * time.Millisecond)
	out("blocked_rss", (status("VmRSS")-rss)/float64(n), "B/task")
	out("blocked_pte", (status("VmPTE")-pte)/float64(n), "B/task")
	t = time.Now()
	for i := 0; i < n; i++ {
		c <- 1
	}
	wg.Wait()
	d := time.Since(t)
	out("blocked_spawn", per(a, n), "ns/task")
	out("blocked_wake", per(d, n), "ns/wake")
}

func idle(n int) {
	c := make(chan uint64)
	for i := 0; i < n; i++ {
		go func() { <-c }()
	}
	time.Sleep(500 * time.Millisecond)
	c0, t := cpu(), time.Now()
	time.Sleep(3 * time.Second)
	out("idle_cpu", (cpu()-c0)/time.Since(t).Seconds()*100, "%")
}

func main() {
	n := func(d int) int {
		if len(os.Args) > 2 {
			v, err := strconv.Atoi(os.Args[2])
			check(err == nil)
			return v
		}
		return d
	}
	switch os.Args[1] {
	case "spawn":
		spawn(n(1000000))
	case "pingpong":
		pingpong("pingpong", 1, n(1000000), false)
	case "apart":
		pingpong("apart", 1, n(200000), true)
	case "pairs":
		pingpong("pairs", 1000, n(1000), false)
	case "spsc":
		through("spsc", 1, 1, 128, n(10000000))
	case "mpmc":
		through("mpmc", 4, 4, 128, n(10000000))
	case "select0":
		sel("select0", 0, n(1000000))
	case "select128":
		sel("select128", 128, n(5000000))
	case "pool":
		pool(n(3000000))
	case "yield":
		yield(n(5000000))
	case "blocked":
		blocked(n(1000000))
	case "idle":
		idle(n(1000))
	case "roundtrip":
		roundtrip(n(100000))
	case "http":
		hello(0)
	case "http_sleep":
		hello(5 * time.Millisecond)
	case "echo":
		echo()
	default:
		library(os.Args[1], n)
	}
}
