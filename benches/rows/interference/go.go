package main

import (
	"os"
	"runtime"
	"sort"
	"syscall"
	"time"
)

func init() {
	rows["interference"] = func(a Args) { ticksBeside("interference", a.Count(1500)) }
}

// Ticks every millisecond while four others are in a system call that takes 10 ms.
func ticksBeside(metric string, n int) {
	for range 4 {
		go func() {
			for {
				duration := syscall.NsecToTimespec(10_000_000)
				syscall.Nanosleep(&duration, nil)
				runtime.Gosched()
			}
		}()
	}
	const period = time.Millisecond
	due := time.Now().Add(period)
	ticker := time.NewTicker(period)
	var seen []float64
	for len(seen) < n {
		<-ticker.C
		// A tick that was dropped counts as seen when the next one is.
		for now := time.Now(); !now.Before(due); due = due.Add(period) {
			seen = append(seen, float64(now.Sub(due).Nanoseconds())/1e6)
		}
	}
	sort.Float64s(seen)
	report(metric+"_p50", seen[(len(seen)+1)/2-1], "ms")
	report(metric+"_p99", seen[(len(seen)*99+99)/100-1], "ms")
	report(metric+"_max", seen[len(seen)-1], "ms")
	os.Exit(0)
}
