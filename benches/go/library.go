// The rows of what stands on the core: locks, contexts, wait groups, timers.
package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

func library(row string, n func(int) int) {
	switch row {
	case "mutex":
		mutex(1000, n(1000))
	case "lock":
		lock(n(20000000))
	case "rlock":
		rlock(n(20000000))
	case "cancel":
		cancel(n(10000), 20)
	case "fanout":
		fanout(1000, n(1000))
	case "sleepers":
		sleepers(n(10000), 10)
	default:
		panic("row " + row)
	}
}

func mutex(tasks, perTask int) {
	t := time.Now()
	var mu sync.Mutex
	var x uint64
	var wg sync.WaitGroup
	wg.Add(tasks)
	for i := 0; i < tasks; i++ {
		go func() {
			for i := 0; i < perTask; i++ {
				mu.Lock()
				x++
				mu.Unlock()
			}
			wg.Done()
		}()
	}
	wg.Wait()
	d := time.Since(t)
	check(x == uint64(tasks*perTask))
	out("mutex", per(d, tasks*perTask), "ns/lock")
}

func lock(n int) {
	var mu sync.Mutex
	x := 0
	t := time.Now()
	for i := 0; i < n; i++ {
		mu.Lock()
		x++
		mu.Unlock()
	}
	out("lock", per(time.Since(t), n), "ns/lock")
	check(x == n)
}

func rlock(n int) {
	var mu sync.RWMutex
	x, one := 0, 1
	t := time.Now()
	for i := 0; i < n; i++ {
		mu.RLock()
		x += one
		mu.RUnlock()
	}
	out("rlock", per(time.Since(t), n), "ns/lock")
	check(x == n)
}

func cancel(n, rounds int) {
	var made, cancelled time.Duration
	for r := 0; r < rounds; r++ {
		t := time.Now()
		root, cancelRoot := context.WithCancel(context.Background())
		tree := make([]context.Context, 0, n)
		var cancels []context.CancelFunc
		for i := 0; i < n; i++ {
			parent := root
			if i >= 100 {
				parent = tree[(i-100)%100]
			}
			child, c := context.WithCancel(parent)
			tree = append(tree, child)
			cancels = append(cancels, c)
		}
		made += time.Since(t)
		t = time.Now()
		cancelRoot()
		cancelled += time.Since(t)
		for _, c := range tree {
			check(c.Err() != nil)
		}
		for _, c := range cancels {
			c()
		}
	}
	out("cancel", per(cancelled, n*rounds), "ns/child")
	out("cancel_make", per(made, n*rounds), "ns/child")
}

func fanout(width, rounds int) {
	t := time.Now()
	var sum atomic.Int64
	for r := 0; r < rounds; r++ {
		var wg sync.WaitGroup
		for i := 0; i < width; i++ {
			wg.Go(func() { sum.Add(int64(i)) })
		}
		wg.Wait()
	}
	out("fanout", per(time.Since(t), width*rounds), "ns/goroutine")
	check(sum.Load() == int64(rounds)*int64(width*(width-1)/2))
}

func sleepers(n, rounds int) {
	t := time.Now()
	var late, worst atomic.Int64
	var wg sync.WaitGroup
	for i := 0; i < n; i++ {
		wg.Go(func() {
			random := uint64(i+1) * 0x9e3779b97f4a7c15
			var sum, most int64
			for r := 0; r < rounds; r++ {
				random ^= random << 13
				random ^= random >> 7
				random ^= random << 17
				d := time.Duration(1000+random%99000) * time.Microsecond
				due := time.Now().Add(d)
				time.Sleep(d)
				by := time.Since(due).Nanoseconds()
				sum += by
				most = max(most, by)
			}
			late.Add(sum)
			for {
				w := worst.Load()
				if w >= most || worst.CompareAndSwap(w, most) {
					break
				}
			}
		})
	}
	wg.Wait()
	out("sleepers_wall", time.Since(t).Seconds(), "s")
	out("sleepers_cpu", cpu(), "s")
	out("sleepers_late_mean", float64(late.Load())/float64(n*rounds)/1e6, "ms")
	out("sleepers_late_worst", float64(worst.Load())/1e6, "ms")
}
