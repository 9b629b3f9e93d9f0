package main

import "time"

func init() { rows["idle"] = idle }

func idle(a Args) {
	c := make(chan uint64)
	for i := 0; i < a.Count(1000); i++ {
		go func() { <-c }()
	}
	time.Sleep(500 * time.Millisecond)
	used, t := cpu(), time.Now()
	time.Sleep(3 * time.Second)
	report("idle_cpu", (cpu()-used)/time.Since(t).Seconds()*100, "%")
}
