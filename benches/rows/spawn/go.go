package main

import (
	"sync"
	"time"
)

func init() { rows["spawn"] = spawn }

func spawn(a Args) {
	n := a.Count(1000000)
	t := time.Now()
	var wg sync.WaitGroup
	wg.Add(n)
	for i := 0; i < n; i++ {
		go wg.Done()
	}
	wg.Wait()
	reportPer("spawn", time.Since(t), n)
	reportPeak("spawn_peak_rss")
}
