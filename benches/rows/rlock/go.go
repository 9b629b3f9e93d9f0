package main

import (
	"sync"
	"time"
)

func init() { rows["rlock"] = rlock }

func rlock(a Args) {
	n := a.Count(20000000)
	var mu sync.RWMutex
	sum, one := 0, 1
	t := time.Now()
	for i := 0; i < n; i++ {
		mu.RLock()
		sum += one
		mu.RUnlock()
	}
	reportPer("rlock", time.Since(t), n)
	check(sum == n)
}
