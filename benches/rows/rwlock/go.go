package main

import (
	"sync"
	"time"
)

func init() { rows["rwlock"] = rwlock }

func rwlock(a Args) {
	const tasks, writeEvery = 64, 100
	per := a.Count(6_400_000) / tasks
	begin := time.Now()
	var lock sync.RWMutex
	var wg sync.WaitGroup
	total := 0
	for range tasks {
		wg.Go(func() {
			seen := 0
			for i := range per {
				if i%writeEvery == 0 {
					lock.Lock()
					total++
					lock.Unlock()
				} else {
					lock.RLock()
					seen = max(seen, total)
					lock.RUnlock()
				}
			}
			check(seen > 0)
		})
	}
	wg.Wait()
	elapsed := time.Since(begin)
	check(total == tasks*((per+writeEvery-1)/writeEvery))
	reportPer("rwlock", elapsed, tasks*per)
}
