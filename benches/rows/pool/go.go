package main

import "time"

func init() { rows["pool"] = pool }

func pool(a Args) {
	n := a.Count(3000000)
	t := time.Now()
	jobs, results := make(chan int, 100), make(chan int, 100)
	for w := 0; w < 2; w++ {
		go func() {
			for j := range jobs {
				results <- j * 2
			}
		}()
	}
	go func() {
		for i := 0; i < n; i++ {
			jobs <- i
		}
		close(jobs)
	}()
	sum := 0
	for i := 0; i < n; i++ {
		sum += <-results
	}
	d := time.Since(t)
	check(sum == n*(n-1))
	reportPer("pool", d, n)
}
