package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func init() { rows["block"] = block }

func block(a Args) {
	n := a.Count(1_000_000)
	var started atomic.Int64
	var wg sync.WaitGroup
	wg.Add(n)
	c := make(chan int)
	begin := time.Now()
	for range n {
		go func() {
			started.Add(1)
			check(<-c == 1)
			wg.Done()
		}()
	}
	for started.Load() < int64(n) {
		runtime.Gosched()
	}
	blocked := time.Since(begin)
	time.Sleep(100 * time.Millisecond)
	begin = time.Now()
	for range n {
		c <- 1
	}
	wg.Wait()
	woken := time.Since(begin)
	reportPer("block", blocked, n)
	reportPer("wake", woken, n)
}
