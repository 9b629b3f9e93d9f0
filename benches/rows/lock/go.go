package main

import (
	"sync"
	"time"
)

func init() { rows["lock"] = lock }

func lock(a Args) {
	n := a.Count(20000000)
	var mu sync.Mutex
	total := 0
	t := time.Now()
	for i := 0; i < n; i++ {
		mu.Lock()
		total++
		mu.Unlock()
	}
	reportPer("lock", time.Since(t), n)
	check(total == n)
}
