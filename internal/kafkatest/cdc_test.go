package kafkatest

import (
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/pgserver"
	"github.com/millrace-io/millrace/internal/proctest"
)

func TestChangeDataCaptureRunsOnApacheKafka(t *testing.T) {
	needs(t, "java", "mvn")
	if _, err := pgserver.Find(); err != nil {
		t.Skip(err)
	}
	run := proctest.Launch(t, "cdc", "--brokers", startKafka(t), "--duration", "5s", "--kill", "1")
	run.Succeeded(t)
	if !strings.HasSuffix(run.Stdout.String(), "All answers are equal.\n") {
		t.Errorf("%s\n%s", run.Stdout, run.Stderr)
	}
}
