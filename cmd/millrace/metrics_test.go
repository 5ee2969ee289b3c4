package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
)

func TestMetricsAreServedBesideTheBroker(t *testing.T) {
	for name, args := range map[string][]string{
		"broker": {"broker", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"},
		"dev":    {"dev", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			r, w := io.Pipe()
			ended := make(chan int, 1)
			go func() {
				ended <- run(ctx, args, strings.NewReader(""), w, os.Stderr)
				w.Close()
			}()
			var address string
			lines := bufio.NewScanner(r)
			for address == "" && lines.Scan() {
				if _, rest, ok := strings.Cut(lines.Text(), "http://"); ok {
					address, _, _ = strings.Cut(rest, "/metrics")
				}
			}
			if address == "" {
				t.Fatal("the command does not say where its metrics are")
			}
			go io.Copy(io.Discard, r)
			for path, want := range map[string]string{"/metrics": "kafka_server_replicamanager_partitioncount 0\n", "/healthz": "ok\n"} {
				resp, err := http.Get("http://" + address + path)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
					t.Errorf("%s: status %d, %v, without %q:\n%s", path, resp.StatusCode, err, want, body)
				}
			}
			stop()
			if code := <-ended; code != exitDone {
				t.Errorf("exit code %d", code)
			}
			if _, err := net.Dial("tcp", address); err == nil {
				t.Error("the metrics are still served")
			}
		})
	}
}

func TestAMetricsAddressThatDoesNotDoIsTold(t *testing.T) {
	millrace(t, "", "dev", "--listen", "127.0.0.1:0", "--metrics", "nonsense").expect(t, exitUsage).says(t, "--metrics nonsense", "HOST:PORT")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	millrace(t, "", "dev", "--listen", "127.0.0.1:0", "--metrics", ln.Addr().String()).expect(t, exitFailed).says(t, "is taken by another server", "--metrics")
}
