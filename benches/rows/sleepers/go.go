package main

import (
	"sync"
	"sync/atomic"
	"time"
)

func init() { rows["sleepers"] = sleepers }

func sleepers(a Args) {
	const times = 10
	n := a.Count(10000)
	t := time.Now()
	var late, worst atomic.Int64
	var wg sync.WaitGroup
	for i := 0; i < n; i++ {
		wg.Go(func() {
			// The same naps as in benches/support.
			random := uint64(i+1) * 0x9e3779b97f4a7c15
			var sum, most int64
			for r := 0; r < times; r++ {
				random ^= random << 13
				random ^= random >> 7
				random ^= random << 17
				d := time.Duration(1000+random%99000) * time.Microsecond
				due := time.Now().Add(d)
				time.Sleep(d)
				by := time.Since(due).Nanoseconds()
				sum += by
				most = max(most, by)
			}
			late.Add(sum)
			for {
				w := worst.Load()
				if w >= most || worst.CompareAndSwap(w, most) {
					break
				}
			}
		})
	}
	wg.Wait()
	report("sleepers_wall", time.Since(t).Seconds(), "s")
	report("sleepers_cpu", cpu(), "s")
	report("sleepers_late_mean", float64(late.Load())/float64(n*times)/1e6, "ms")
	report("sleepers_late_worst", float64(worst.Load())/1e6, "ms")
}
