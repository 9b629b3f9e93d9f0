package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func init() { rows["blocked"] = blocked }

func blocked(a Args) {
	n := a.Count(1000000)
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
	spawned := time.Since(t)
	for started.Load() < int64(n) {
		runtime.Gosched()
	}
	time.Sleep(300 * time.Millisecond)
	report("blocked_rss", (status("VmRSS")-rss)/float64(n), "B")
	report("blocked_pte", (status("VmPTE")-pte)/float64(n), "B")
	t = time.Now()
	for i := 0; i < n; i++ {
		c <- 1
	}
	wg.Wait()
	woken := time.Since(t)
	reportPer("blocked_spawn", spawned, n)
	reportPer("blocked_wake", woken, n)
}
