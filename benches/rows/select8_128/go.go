package main

func init() {
	rows["select8_128"] = func(a Args) { selectEight("select8_128", 128, a.Count(4_000_000)) }
}
