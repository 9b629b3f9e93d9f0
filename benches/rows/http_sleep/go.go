package main

import "time"

func init() { rows["http_sleep"] = func(a Args) { hello(5 * time.Millisecond) } }
