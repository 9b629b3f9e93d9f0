package main

import (
	"sync"
	"time"
)

func init() { rows["mutex"] = mutex }

func mutex(a Args) {
	const tasks = 1000
	perTask := a.Count(1000)
	t := time.Now()
	var mu sync.Mutex
	var total int
	var wg sync.WaitGroup
	wg.Add(tasks)
	for i := 0; i < tasks; i++ {
		go func() {
			for i := 0; i < perTask; i++ {
				mu.Lock()
				total++
				mu.Unlock()
			}
			wg.Done()
		}()
	}
	wg.Wait()
	d := time.Since(t)
	check(total == tasks*perTask)
	reportPer("mutex", d, tasks*perTask)
}
