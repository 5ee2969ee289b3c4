package hostiletest

import (
	"os"
	"testing"

	"github.com/millrace-io/millrace/internal/proctest"
)

func TestMain(m *testing.M) { os.Exit(proctest.Main(m)) }
