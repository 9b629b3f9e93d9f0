package main

import (
	"sync"
	"sync/atomic"
	"time"
)

func init() { rows["pingpong"] = func(a Args) { pingpong("pingpong", 1, a.Count(1000000), false) } }

// Pairs of goroutines, each of which hands numbers to and fro.
func pingpong(metric string, pairs, rounds int, apart bool) {
	t := time.Now()
	var wg sync.WaitGroup
	wg.Add(2 * pairs)
	for i := 0; i < pairs; i++ {
		pair(rounds, &wg, apart)
	}
	wg.Wait()
	reportPer(metric, time.Since(t), pairs*rounds)
}

// apart: both sides run at the same time before they talk, so they begin on two processors.
func pair(rounds int, wg *sync.WaitGroup, apart bool) {
	ask, answer := make(chan uint64), make(chan uint64)
	var here atomic.Int64
	meet := func() {
		if apart {
			for here.Add(1); here.Load() < 2; {
			}
		}
	}
	go func() {
		meet()
		for i := 0; i < rounds; i++ {
			answer <- <-ask + 1
		}
		wg.Done()
	}()
	go func() {
		meet()
		for i := 0; i < rounds; i++ {
			ask <- uint64(i)
			check(<-answer == uint64(i)+1)
		}
		wg.Done()
	}()
}
