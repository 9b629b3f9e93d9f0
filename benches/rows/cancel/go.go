package main

import (
	"context"
	"time"
)

func init() { rows["cancel"] = cancel }

// A tree of so many is made and cancelled, n times.
func cancel(a Args) {
	const size = 10000
	rounds := a.Count(20)
	var made, cancelled time.Duration
	for r := 0; r < rounds; r++ {
		t := time.Now()
		root, cancelRoot := context.WithCancel(context.Background())
		tree := make([]context.Context, 0, size)
		var cancels []context.CancelFunc
		for i := 0; i < size; i++ {
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
	reportPer("cancel", cancelled, size*rounds)
	reportPer("cancel_make", made, size*rounds)
}
