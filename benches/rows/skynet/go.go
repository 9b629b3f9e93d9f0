package main

import "time"

func init() { rows["skynet"] = skynet }

func skynet(a Args) {
	leaves := a.Count(1_000_000)
	begin := time.Now()
	c := make(chan int)
	go skynetNode(c, 0, leaves)
	sum := <-c
	elapsed := time.Since(begin)
	check(sum == leaves*(leaves-1)/2)
	report("skynet", elapsed.Seconds()*1e3, "ms")
	reportPeak("skynet_peak_rss")
}

func skynetNode(up chan<- int, number, size int) {
	if size == 1 {
		up <- number
		return
	}
	c := make(chan int)
	children, first := 0, number
	for i := range 10 {
		// The shares of ten children, as even as can be.
		if share := (size + i) / 10; share > 0 {
			go skynetNode(c, first, share)
			children++
			first += share
		}
	}
	sum := 0
	for range children {
		sum += <-c
	}
	up <- sum
}
