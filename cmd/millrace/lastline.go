package main

import "io"

// lastLine reads what r holds and ends its last line where that lacks a newline, as editors and printf leave it: a line is a record either way.
type lastLine struct {
	r     io.Reader
	begun bool // something has been read
	last  byte // the last byte read
	ended bool
}

func (l *lastLine) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if l.ended {
		return 0, io.EOF
	}
	n, err := l.r.Read(p)
	switch {
	case n > 0:
		l.begun, l.last = true, p[n-1]
		if err == io.EOF { // the next call says so again
			err = nil
		}
	case err == io.EOF && l.begun && l.last != '\n':
		l.ended = true
		p[0] = '\n'
		return 1, nil
	}
	return n, err
}
