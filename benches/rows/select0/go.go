package main

import "time"

func init() { rows["select0"] = func(a Args) { selectTwo("select0", 0, a.Count(1000000)) } }

// One receiver on two channels, each with a sender of its own.
func selectTwo(metric string, capacity, n int) {
	t := time.Now()
	per := n / 2
	c0, c1 := make(chan int, capacity), make(chan int, capacity)
	for _, c := range []chan int{c0, c1} {
		go func() {
			for i := 0; i < per; i++ {
				c <- i
			}
		}()
	}
	sum := 0
	for i := 0; i < per*2; i++ {
		select {
		case v := <-c0:
			sum += v
		case v := <-c1:
			sum += v
		}
	}
	d := time.Since(t)
	check(sum == per*(per-1))
	reportPer(metric, d, 2*per)
}
