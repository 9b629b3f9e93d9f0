package main

import "time"

func init() { rows["fanin"] = fanIn }

func fanIn(a Args) {
	const producers = 64
	per := a.Count(3_200_000) / producers
	begin := time.Now()
	c := make(chan int)
	for range producers {
		go func() {
			for i := range per {
				c <- i
			}
		}()
	}
	sum := 0
	for range producers * per {
		sum += <-c
	}
	elapsed := time.Since(begin)
	check(sum == producers*(per*(per-1)/2))
	reportPer("fanin", elapsed, producers*per)
}
