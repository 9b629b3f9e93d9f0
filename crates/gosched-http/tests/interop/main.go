// The other side of tests/interop.rs: Go's net/http as a client of our server, and as a server for our client.
//
//	interop client http://ADDRESS    checks everything and says "ok" for each, or what is wrong
//	interop load http://ADDRESS      asks until nobody lets it in any more, and says how it went
//	interop server                   prints its address; its standard input's end shuts it down
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const long = 60 * time.Second

func main() {
	switch {
	case len(os.Args) == 3 && os.Args[1] == "client":
		client(os.Args[2])
	case len(os.Args) == 3 && os.Args[1] == "load":
		load(os.Args[2])
	case len(os.Args) == 2 && os.Args[1] == "server":
		server()
	default:
		fail("usage: interop client URL | load URL | server")
	}
}

func fail(format string, args ...any) {
	fmt.Printf("FAILED: "+format+"\n", args...)
	os.Exit(1)
}

func check(so bool, format string, args ...any) {
	if !so {
		fail(format, args...)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		fail("%v", err)
	}
	return value
}

// A client with connections of its own.
func newClient(http2 bool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	// Over HTTP/2 our server tells nobody to go on, since hyper does not: such a client sends its body after a while.
	patience := long
	if http2 {
		patience = 50 * time.Millisecond
	}
	transport := &http.Transport{
		Protocols:             protocols,
		ExpectContinueTimeout: patience,
		MaxIdleConnsPerHost:   100,
		DisableCompression:    true,
	}
	return &http.Client{Transport: transport, Timeout: long}
}

func client(base string) {
	for _, http2 := range []bool{false, true} {
		version := "HTTP/1.1"
		if http2 {
			version = "HTTP/2.0"
		}
		for name, test := range map[string]func(*http.Client, string, bool){
			"keep-alive":      keepAlive,
			"chunked":         chunked,
			"trailers":        trailers,
			"expect-continue": expectContinue,
			"many at once":    manyAtOnce,
		} {
			c := newClient(http2)
			test(c, base, http2)
			c.CloseIdleConnections()
			fmt.Println("ok", version, name)
		}
	}
}

func keepAlive(c *http.Client, base string, http2 bool) {
	for n := range 20 {
		var reused bool
		trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }}
		ctx := httptrace.WithClientTrace(context.Background(), trace)
		req := must(http.NewRequestWithContext(ctx, "GET", base+"/hello", nil))
		resp := must(c.Do(req))
		text := string(must(io.ReadAll(resp.Body)))
		resp.Body.Close()
		check(resp.StatusCode == 200 && text == "hello", "status %d, %q", resp.StatusCode, text)
		check(resp.ProtoMajor == 2 == http2, "it is %s", resp.Proto)
		check(reused == (n > 0), "request %d: the connection was reused: %v", n, reused)
		check(resp.ContentLength == 5, "the length is %d", resp.ContentLength)
	}
}

// The body goes and comes at the same time, in pieces whose number nobody knows.
func chunked(c *http.Client, base string, http2 bool) {
	reader, writer := io.Pipe()
	req := must(http.NewRequest("POST", base+"/echo", reader))
	first := make(chan struct{})
	go func() {
		writer.Write([]byte("first "))
		// The rest is sent when the answer has begun.
		<-first
		for n := range 1000 {
			fmt.Fprintf(writer, "%d ", n)
		}
		writer.Close()
	}()
	resp := must(c.Do(req))
	defer resp.Body.Close()
	got := make([]byte, 6)
	must(io.ReadFull(resp.Body, got))
	check(string(got) == "first ", "%q", got)
	check(http2 || strings.Join(resp.TransferEncoding, ",") == "chunked", "it comes as %q", resp.TransferEncoding)
	close(first)
	rest := string(must(io.ReadAll(resp.Body)))
	check(strings.HasPrefix(rest, "0 1 2 ") && strings.HasSuffix(rest, " 998 999 "), "%q", rest)
}

func trailers(c *http.Client, base string, _ bool) {
	req := must(http.NewRequest("POST", base+"/trailers", nil))
	req.Body = io.NopCloser(io.MultiReader(strings.NewReader("some "), atEnd(func() {
		req.Trailer.Set("X-Sum", "42")
	})))
	req.ContentLength = -1
	// Our server sends trailers over HTTP/1 to those who ask for them.
	req.Header.Set("TE", "trailers")
	req.Trailer = http.Header{"X-Sum": nil}
	resp := must(c.Do(req))
	text := string(must(io.ReadAll(resp.Body)))
	resp.Body.Close()
	check(text == "some ", "%q", text)
	check(resp.Trailer.Get("X-Sum") == "42", "the trailers are %v", resp.Trailer)
}

// atEnd is a reader without content that calls a function.
type atEnd func()

func (f atEnd) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}

func expectContinue(c *http.Client, base string, http2 bool) {
	var told atomic.Bool
	body := strings.Repeat("x", 100_000)
	trace := &httptrace.ClientTrace{Got100Continue: func() { told.Store(true) }}
	ctx := httptrace.WithClientTrace(context.Background(), trace)
	req := must(http.NewRequestWithContext(ctx, "POST", base+"/echo", strings.NewReader(body)))
	req.Header.Set("Expect", "100-continue")
	resp := must(c.Do(req))
	text := string(must(io.ReadAll(resp.Body)))
	resp.Body.Close()
	check(text == body, "%d bytes came back", len(text))
	check(told.Load() || http2, "it was not told to go on")

	// Who does not want the body says so before it is sent.
	if http2 {
		return
	}
	var sent atomic.Bool
	told.Store(false)
	req = must(http.NewRequestWithContext(ctx, "POST", base+"/refuse", atEnd(func() { sent.Store(true) })))
	req.Header.Set("Expect", "100-continue")
	resp = must(c.Do(req))
	resp.Body.Close()
	check(resp.StatusCode == 403, "status %d", resp.StatusCode)
	check(!sent.Load() && !told.Load(), "the body was sent: %v, asked for: %v", sent.Load(), told.Load())
}

func manyAtOnce(c *http.Client, base string, _ bool) {
	var all sync.WaitGroup
	for n := range 50 {
		all.Go(func() {
			body := bytes.Repeat([]byte{byte(n)}, n*1000)
			resp := must(c.Post(base+"/echo", "application/octet-stream", bytes.NewReader(body)))
			got := must(io.ReadAll(resp.Body))
			resp.Body.Close()
			check(bytes.Equal(got, body), "%d of %d bytes came back", len(got), len(body))
		})
	}
	all.Wait()
}

// Asks with many goroutines until connections are refused. Whatever was sent must have been answered.
func load(base string) {
	c := newClient(false)
	var answered atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for {
				resp, err := c.Get(base + "/slow")
				if errors.Is(err, syscall.ECONNREFUSED) {
					return
				}
				if err != nil {
					fail("a request failed: %v", err)
				}
				text, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				check(err == nil && string(text) == "slow" && resp.StatusCode == 200, "%q %v", text, err)
				if answered.Add(1) == 50 {
					fmt.Println("going on")
				}
			}
		})
	}
	all.Wait()
	fmt.Println("ok", answered.Load())
}

func server() {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "hello ", r.RemoteAddr)
	})
	mux.HandleFunc("/proto", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Proto)
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		if r.ProtoMajor == 1 {
			control.EnableFullDuplex()
		}
		w.Header().Set("X-Came-As", strings.Join(r.TransferEncoding, ","))
		buf := make([]byte, 4096)
		for {
			n, err := r.Body.Read(buf)
			if n > 0 {
				w.Write(buf[:n])
				control.Flush()
			}
			if err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/trailers", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		text, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v", text, err)
		w.Header().Set("X-Sum", r.Trailer.Get("X-Sum"))
	})
	mux.HandleFunc("/refuse", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
	})
	var running atomic.Int64
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		if running.Add(1) == 4 {
			fmt.Println("four are running")
		}
		time.Sleep(300 * time.Millisecond)
		fmt.Fprint(w, "slow")
	})
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	srv := &http.Server{Handler: mux, Protocols: protocols}
	go srv.Serve(listener)
	fmt.Println(listener.Addr())
	io.Copy(io.Discard, os.Stdin)
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		fail("shutdown: %v", err)
	}
	fmt.Println("shut down")
}
