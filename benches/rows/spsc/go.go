package main

import (
	"sync"
	"sync/atomic"
	"time"
)

func init() { rows["spsc"] = func(a Args) { through("spsc", 1, 1, 128, a.Count(10000000)) } }

// Numbers through one channel, from so many producers to so many consumers.
func through(metric string, producers, consumers, capacity, n int) {
	t := time.Now()
	c := make(chan uint64, capacity)
	var produced, consumed sync.WaitGroup
	var sum atomic.Uint64
	produced.Add(producers)
	consumed.Add(consumers)
	per := n / producers
	for i := 0; i < producers; i++ {
		go func() {
			for i := 0; i < per; i++ {
				c <- uint64(i)
			}
			produced.Done()
		}()
	}
	for i := 0; i < consumers; i++ {
		go func() {
			var own uint64
			for v := range c {
				own += v
			}
			sum.Add(own)
			consumed.Done()
		}()
	}
	produced.Wait()
	close(c)
	consumed.Wait()
	d := time.Since(t)
	check(sum.Load() == uint64(producers)*(uint64(per)*uint64(per-1)/2))
	reportPer(metric, d, per*producers)
}
