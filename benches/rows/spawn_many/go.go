package main

import (
	"sync"
	"time"
)

func init() { rows["spawn_many"] = spawnMany }

func spawnMany(a Args) {
	const spawners = 100
	each := a.Count(1_000_000) / spawners
	begin := time.Now()
	var wg sync.WaitGroup
	wg.Add(spawners * each)
	for range spawners {
		go func() {
			for range each {
				go wg.Done()
			}
		}()
	}
	wg.Wait()
	reportPer("spawn_many", time.Since(begin), spawners*each)
}
