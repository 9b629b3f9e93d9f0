package main

import (
	"net"
	"time"
)

func init() { rows["roundtrip"] = roundtrip }

// One byte there and back, n times, between two goroutines.
func roundtrip(a Args) {
	n := a.Count(100000)
	l := listen()
	go func() {
		c, err := l.Accept()
		check(err == nil)
		echoOn(c, 64)
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	check(err == nil)
	b := make([]byte, 1)
	t := time.Now()
	for i := 0; i < n; i++ {
		_, err := c.Write(b)
		check(err == nil)
		_, err = c.Read(b)
		check(err == nil)
	}
	reportPer("roundtrip", time.Since(t), n)
}
