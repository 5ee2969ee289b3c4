package main

import (
	"encoding/json"
	"io"
	"strings"
	"text/tabwriter"
)

// The values of --output.
const (
	outputText = "text"
	outputJSON = "json"
)

// printJSON writes a value as indented JSON, ended by a newline.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// printTable writes rows in aligned columns under a head. An empty cell shows as "-", as in Kafka's tools, so that columns can be counted.
func printTable(w io.Writer, head []string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, row := range append([][]string{head}, rows...) {
		for i, cell := range row {
			if cell == "" {
				cell = "-"
			}
			end := "\t"
			if i == len(row)-1 {
				end = "\n"
			}
			if _, err := io.WriteString(t, strings.ReplaceAll(cell, "\t", " ")+end); err != nil {
				return err
			}
		}
	}
	return t.Flush()
}
