package main

func init() { rows["select128"] = func(a Args) { selectTwo("select128", 128, a.Count(5000000)) } }
