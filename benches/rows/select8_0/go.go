package main

import "time"

func init() {
	rows["select8_0"] = func(a Args) { selectEight("select8_0", 0, a.Count(400_000)) }
}

func selectEight(metric string, capacity, n int) {
	per := n / 8
	begin := time.Now()
	var all [8]chan int
	for i := range all {
		all[i] = make(chan int, capacity)
		c := all[i]
		go func() {
			for i := range per {
				c <- i
			}
		}()
	}
	c0, c1, c2, c3, c4, c5, c6, c7 := all[0], all[1], all[2], all[3], all[4], all[5], all[6], all[7]
	sum := 0
	for range 8 * per {
		var v int
		select {
		case v = <-c0:
		case v = <-c1:
		case v = <-c2:
		case v = <-c3:
		case v = <-c4:
		case v = <-c5:
		case v = <-c6:
		case v = <-c7:
		}
		sum += v
	}
	elapsed := time.Since(begin)
	check(sum == 8*(per*(per-1)/2))
	reportPer(metric, elapsed, 8*per)
}
