package main

const countsTopic = "word-counts"

func main() {}
