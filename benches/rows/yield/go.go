package main

import (
	"runtime"
	"sync"
	"time"
)

func init() { rows["yield"] = yield }

func yield(a Args) {
	n := a.Count(5000000)
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
	reportPer("yield", time.Since(t), 2*n)
}
