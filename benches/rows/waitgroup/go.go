package main

import (
	"sync"
	"time"
)

func init() { rows["waitgroup"] = waitGroup }

func waitGroup(a Args) {
	const loops = 8
	rounds := a.Count(1_600_000) / loops
	begin := time.Now()
	var all sync.WaitGroup
	for range loops {
		all.Go(func() {
			for range rounds {
				var wg sync.WaitGroup
				wg.Add(1)
				go wg.Done()
				wg.Wait()
			}
		})
	}
	all.Wait()
	reportPer("waitgroup", time.Since(begin), loops*rounds)
}
