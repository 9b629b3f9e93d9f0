package main

func init() { rows["mpsc"] = mpsc }

func mpsc(a Args) {
	option := func(name string, own int) int {
		if text := a.Option(name); text != "" {
			return number(text)
		}
		return own
	}
	producers, consumers, capacity := option("producers", 4), option("consumers", 1), option("capacity", 128)
	through("through", producers, consumers, capacity, a.Count(10000000))
}
