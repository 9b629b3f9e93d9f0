package main

func init() { rows["mpmc"] = func(a Args) { through("mpmc", 4, 4, 128, a.Count(10000000)) } }
