package main

import (
	"sync"
	"sync/atomic"
	"time"
)

func init() { rows["fanout"] = fanout }

func fanout(a Args) {
	const width = 1000
	rounds := a.Count(1000)
	t := time.Now()
	var sum atomic.Int64
	for r := 0; r < rounds; r++ {
		var wg sync.WaitGroup
		for i := 0; i < width; i++ {
			wg.Go(func() { sum.Add(int64(i)) })
		}
		wg.Wait()
	}
	reportPer("fanout", time.Since(t), width*rounds)
	check(sum.Load() == int64(rounds)*int64(width*(width-1)/2))
}
