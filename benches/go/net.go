package main

import (
	"fmt"
	"net"
	"net/http"
	"time"
)

func listen() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err == nil)
	return l
}

func ready(l net.Listener) { fmt.Println("READY", l.Addr().(*net.TCPAddr).Port) }

func echoOn(c net.Conn, size int) {
	buf := make([]byte, size)
	for {
		n, err := c.Read(buf)
		if err != nil {
			c.Close()
			return
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}

// One byte there and back, n times, between two goroutines.
func roundtrip(n int) {
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
	out("roundtrip", per(time.Since(t), n), "ns/round")
	out("rounds", float64(n), "count")
}

func echo() {
	l := listen()
	ready(l)
	for {
		c, err := l.Accept()
		check(err == nil)
		go echoOn(c, 4096)
	}
}

func hello(pause time.Duration) {
	l := listen()
	ready(l)
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if pause > 0 {
			time.Sleep(pause)
		}
		w.Write([]byte("Hello, World!"))
	})
	http.Serve(l, nil)
}
