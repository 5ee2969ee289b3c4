// Package docs holds the documentation, and as its tests the Go programs that the pages show: a block of Go in a page is a part of a test here, word for word.
package docs
