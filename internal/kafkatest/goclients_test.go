package kafkatest

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/millrace-io/millrace/internal/proctest"
)

// TestOtherGoClients runs the tests of the module goclients: sarama and kafka-go.
func TestOtherGoClients(t *testing.T) {
	needs(t, "go")
	_, address := proctest.Broker(t, t.TempDir(), "", "--set", "group.initial.rebalance.delay.ms=0")
	cmd := exec.CommandContext(t.Context(), "go", "test", "-json", "-count=1", "-timeout=8m", fmt.Sprintf("-short=%t", testing.Short()), "./...")
	cmd.Dir = "goclients"
	cmd.Env = append(os.Environ(), "GOWORK=off", "MILLRACE_SEEDS="+address)
	var stderr tail
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	ran := results(t, out)
	for name, action := range ran.action {
		if action != "pass" {
			t.Errorf("%s: %s\n%s", name, action, ran.output[name])
		}
	}
	if err != nil || ran.count("pass") == 0 {
		t.Errorf("%d tests passed: %v\n%s", ran.count("pass"), err, stderr.text)
	}
}
