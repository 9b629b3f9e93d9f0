package main

func init() { rows["pairs"] = func(a Args) { pingpong("pairs", 1000, a.Count(1000), false) } }
