package hostiletest

import (
	"fmt"
	"os"
	"testing"

	"github.com/millrace-io/millrace/internal/proctest"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(crowdVariable); spec != "" {
		if err := crowdMain(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(proctest.Main(m))
}
