package main

import "time"

func init() { rows["fib"] = fib }

func fib(a Args) {
	rounds := a.Count(30)
	begin := time.Now()
	for range rounds {
		check(fibFork(20) == 6765)
	}
	// A fork for each addition.
	reportPer("fib", time.Since(begin), rounds*10945)
}

func fibFork(n int) int {
	if n < 2 {
		return n
	}
	forked := make(chan int, 1)
	go func() { forked <- fibFork(n - 1) }()
	here := fibFork(n - 2)
	return <-forked + here
}
