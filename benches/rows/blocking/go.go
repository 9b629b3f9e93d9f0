package main

// The runtime knows of every system call: nobody needs to say that it blocks.
func init() {
	rows["blocking"] = func(a Args) { ticksBeside("blocking", a.Count(1500)) }
}
