package main

func init() { rows["apart"] = func(a Args) { pingpong("apart", 1, a.Count(200000), true) } }
