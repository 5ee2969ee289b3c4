package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// bar draws one line on a terminal again and again: how much of the text is counted, how fast, and how long it will take. Without a terminal it draws nothing.
type bar struct {
	out    io.Writer // nil: no terminal
	width  func() int
	before bool // something is drawn
}

// barInterval is fast enough to look alive and slow enough to cost nothing.
const barInterval = 200 * time.Millisecond

func newBar(f *os.File) *bar {
	b := &bar{}
	if fd := int(f.Fd()); term.IsTerminal(fd) {
		b.out = f
		b.width = func() int {
			if w, _, err := term.GetSize(fd); err == nil && w > 0 {
				return w
			}
			return 80
		}
	}
	return b
}

// draw shows counted of total words; fresh of them were counted in elapsed. A total of 0 is unknown.
func (b *bar) draw(counted, fresh, total int64, elapsed time.Duration) {
	if b.out == nil {
		return
	}
	b.before = true
	fmt.Fprintf(b.out, "\r\x1b[K%s", barLine(counted, total, fresh, elapsed, b.width()-1))
}

// clear removes the line, so that other text can be printed.
func (b *bar) clear() {
	if b.out != nil && b.before {
		fmt.Fprint(b.out, "\r\x1b[K")
		b.before = false
	}
}

// barLine is what draw shows, at most width characters: fresh words were counted in elapsed.
func barLine(counted, total, fresh int64, elapsed time.Duration, width int) string {
	rate := 0.0
	if s := elapsed.Seconds(); s > 0 {
		rate = float64(fresh) / s
	}
	tail := fmt.Sprintf(" %s words, %s/s", grouped(counted), grouped(int64(rate)))
	line := strings.TrimSpace(tail)
	if total > 0 {
		part := min(float64(counted)/float64(total), 1)
		left := "--"
		if rate > 0 {
			left = (time.Duration(float64(max(total-counted, 0)) / rate * float64(time.Second))).Round(time.Second).String()
		}
		head := fmt.Sprintf("%3.0f%% ", part*100)
		tail += ", " + left + " left"
		cells := min(max(width-len(head)-len(tail)-2, 0), 40)
		full := int(part * float64(cells))
		line = head + "[" + strings.Repeat("#", full) + strings.Repeat(".", cells-full) + "]" + tail
		if cells == 0 {
			line = head + strings.TrimSpace(tail)
		}
	}
	return line[:min(len(line), max(width, 0))]
}

// grouped writes a number with a comma between thousands.
func grouped(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
