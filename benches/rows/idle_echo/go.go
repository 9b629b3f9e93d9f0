package main

import (
	"fmt"
	"net"
)

func init() { rows["idle_echo"] = echo }

func listen() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err == nil)
	return l
}

func ready(l net.Listener) { fmt.Println("READY", l.Addr().(*net.TCPAddr).Port) }

// Serves until it is killed.
func echo(a Args) {
	l := listen()
	ready(l)
	for {
		c, err := l.Accept()
		check(err == nil)
		go echoOn(c, 4096)
	}
}

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
