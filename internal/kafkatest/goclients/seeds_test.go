package goclients

import (
	"context"
	"os"
	"testing"
	"time"
)

// seeds returns where the log server is, or skips the test.
func seeds(t *testing.T) []string {
	t.Helper()
	address := os.Getenv("MILLRACE_SEEDS")
	if address == "" {
		t.Skip("MILLRACE_SEEDS does not say where the log server is")
	}
	return []string{address}
}

// patience is far more than a test takes on a machine at work.
const patience = 2 * time.Minute

func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
