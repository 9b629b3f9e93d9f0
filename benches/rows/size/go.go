package main

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

func init() { rows["size"] = size }

// Measures the program that the runner has built beside this one: what of its file is loaded, and the time of a
// whole process.
func size(a Args) {
	self, err := os.Executable()
	check(err == nil)
	path := filepath.Join(filepath.Dir(self), "go-hello")
	file, err := elf.Open(path)
	check(err == nil)
	var loaded uint64
	for _, header := range file.Progs {
		if header.Type == elf.PT_LOAD {
			loaded += header.Filesz
		}
	}
	report("size", float64(loaded)/1024, "KiB")
	n := a.Count(100)
	begin := time.Now()
	for range n {
		said, err := exec.Command(path).Output()
		check(err == nil && string(said) == "hello\n")
	}
	report("hello", time.Since(begin).Seconds()*1e3/float64(n), "ms")
}
