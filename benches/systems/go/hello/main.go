// Says hello and ends: what the rows size and hello measure.
package main

import "fmt"

func main() {
	said := make(chan struct{})
	go func() {
		fmt.Println("hello")
		close(said)
	}()
	<-said
}
