package main

import "time"

func init() { rows["after"] = after }

func after(a Args) {
	n := a.Count(1_000_000)
	begin := time.Now()
	c := make(chan int)
	go func() {
		for i := range n {
			c <- i
		}
	}()
	sum := 0
	for range n {
		select {
		case value := <-c:
			sum += value
		case <-time.After(10 * time.Second):
			panic("ten seconds without a message")
		}
	}
	elapsed := time.Since(begin)
	check(sum == n*(n-1)/2)
	reportPer("after", elapsed, n)
}
