package main

import "time"

func init() { rows["structs"] = structs }

type kilobyte [128]uint64

func structs(a Args) {
	n := a.Count(2_000_000)
	begin := time.Now()
	c := make(chan kilobyte, 128)
	go func() {
		for i := range n {
			var message kilobyte
			message[0], message[127] = uint64(i), uint64(i)
			c <- message
		}
		close(c)
	}()
	var sum uint64
	for message := range c {
		sum += message[0] + message[127]
	}
	elapsed := time.Since(begin)
	check(sum == uint64(n*(n-1)))
	reportPer("structs", elapsed, n)
}
