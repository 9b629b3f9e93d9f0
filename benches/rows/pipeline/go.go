package main

import "time"

func init() { rows["pipeline"] = pipeline }

func pipeline(a Args) {
	const stages = 100
	n := a.Count(50_000)
	begin := time.Now()
	c := make(chan int)
	go func(c chan<- int) {
		for i := range n {
			c <- i
		}
		close(c)
	}(c)
	for range stages {
		next := make(chan int)
		go func(in <-chan int, out chan<- int) {
			for value := range in {
				out <- value + 1
			}
			close(out)
		}(c, next)
		c = next
	}
	sum := 0
	for value := range c {
		sum += value
	}
	elapsed := time.Since(begin)
	check(sum == n*(n-1)/2+n*stages)
	reportPer("pipeline", elapsed, n*(stages+1))
}
