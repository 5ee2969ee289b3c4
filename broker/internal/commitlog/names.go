package commitlog

import (
	"fmt"
	"strconv"
	"strings"
)

// The files of a log; FORMAT.md describes them.
const (
	suffixLog      = ".log"
	suffixIndex    = ".index"
	suffixTime     = ".timeindex"
	suffixTxn      = ".txnindex"
	suffixSummary  = ".summary"
	suffixSnapshot = ".snapshot"
	suffixCleaned  = ".cleaned" // being written by the cleaner
	suffixSwap     = ".swap"    // complete, replaces the segments that its name spans
	suffixTemp     = ".tmp"
	suffixDeleted  = ".deleted" // a segment's file that nobody reads any more; behind suffixLog
	epochFile      = "leader-epoch-checkpoint"

	// epochSummaryFile has no suffix: what is named after an offset has one.
	epochSummaryFile = "leader-epoch-summary"

	offsetDigits = 20
)

// fileName returns the name of the file that belongs to an offset.
func fileName(o Offset, suffix string) string {
	return fmt.Sprintf("%0*d%s", offsetDigits, int64(o), suffix)
}

// parseName returns the offset in the name of a file with that suffix.
func parseName(name, suffix string) (Offset, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok {
		return 0, false
	}
	return parseOffset(digits)
}

func parseOffset(digits string) (Offset, bool) {
	if len(digits) != offsetDigits {
		return 0, false
	}
	o, err := strconv.ParseInt(digits, 10, 64)
	return Offset(o), err == nil && o >= 0
}

// swapName returns the name of a cleaned segment that replaces the segments in [base, end).
func swapName(base, end Offset) string {
	return fmt.Sprintf("%0*d-%0*d%s", offsetDigits, int64(base), offsetDigits, int64(end), suffixSwap)
}

// parseSwapName undoes swapName.
func parseSwapName(name string) (base, end Offset, ok bool) {
	span, found := strings.CutSuffix(name, suffixSwap)
	if !found {
		return 0, 0, false
	}
	a, b, found := strings.Cut(span, "-")
	if !found {
		return 0, 0, false
	}
	base, okBase := parseOffset(a)
	end, okEnd := parseOffset(b)
	return base, end, okBase && okEnd && base < end
}
