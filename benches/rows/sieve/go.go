package main

import "time"

func init() { rows["sieve"] = sieve }

func sieve(a Args) {
	n := a.Count(2000)
	begin := time.Now()
	c := make(chan int)
	go func(c chan<- int) {
		for number := 2; ; number++ {
			c <- number
		}
	}(c)
	prime := 0
	for range n {
		prime = <-c
		c = filter(c, prime)
	}
	elapsed := time.Since(begin)
	check(n != 2000 || prime == 17389)
	report("sieve", elapsed.Seconds()*1e3, "ms")
}

func filter(in <-chan int, prime int) chan int {
	out := make(chan int)
	go func() {
		for number := range in {
			if number%prime != 0 {
				out <- number
			}
		}
	}()
	return out
}
