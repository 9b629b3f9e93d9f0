package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"time"
)

func init() { rows["digest_small"] = digest }

type digested struct {
	path string
	sum  [sha256.Size]byte
}

// The bounded pipeline of Go's blog: a walker, several digesters, and who collects.
func digest(a Args) {
	root := a.Option("dir")
	if root == "" {
		fail("--dir is missing")
	}
	t := time.Now()
	paths, results := make(chan string), make(chan digested)
	go func() {
		defer close(paths)
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() {
				paths <- path
			}
			return err
		})
		check(err == nil)
	}()
	var digesters sync.WaitGroup
	for i := 0; i < a.Workers; i++ {
		digesters.Go(func() {
			buf := make([]byte, 256<<10)
			h := sha256.New()
			for path := range paths {
				f, err := os.Open(path)
				check(err == nil)
				h.Reset()
				for {
					n, err := f.Read(buf)
					h.Write(buf[:n])
					if err == io.EOF {
						break
					}
					check(err == nil)
				}
				f.Close()
				d := digested{path: path}
				h.Sum(d.sum[:0])
				results <- d
			}
		})
	}
	go func() {
		digesters.Wait()
		close(results)
	}()
	var all []digested
	for d := range results {
		all = append(all, d)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].path < all[j].path })
	var output bytes.Buffer
	for _, d := range all {
		fmt.Fprintf(&output, "%x  %s\n", d.sum, d.path)
	}
	reportPer("digest", time.Since(t), len(all))
	reportCheck("digest_check", output.Bytes())
}
