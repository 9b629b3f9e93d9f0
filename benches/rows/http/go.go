package main

import (
	"net/http"
	"time"
)

func init() { rows["http"] = func(a Args) { hello(0) } }

// net/http. Serves until it is killed.
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
