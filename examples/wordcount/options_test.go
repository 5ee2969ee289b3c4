package main

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/examples/internal/command"
)

func TestOptionsDefaults(t *testing.T) {
	o, err := parseOptions(nil, io.Discard)
	if err != nil || !o.exactly || o.instances != 1 || o.app != "wordcount" || o.partitions != 0 || len(o.brokers) != 0 || o.data != "" {
		t.Errorf("options %+v, error %v", o, err)
	}
}

func TestOptionsMixFlagsAndFiles(t *testing.T) {
	o, err := parseOptions([]string{"a.txt", "--brokers", "h1:1, h2:2", "-", "--guarantee=at-least-once", "--partitions", "3", "b"}, io.Discard)
	if err != nil || !slices.Equal(o.inputs, []string{"a.txt", "-", "b"}) || !slices.Equal(o.brokers, []string{"h1:1", "h2:2"}) || o.exactly || o.partitions != 3 {
		t.Errorf("options %+v, error %v", o, err)
	}
}

func TestWrongOptionsAreUsageErrors(t *testing.T) {
	for _, args := range []string{
		"--nosuch", "--guarantee twice", "--partitions 0", "--partitions x", "--instances 0", "--instances 65", "--app=", "--brokers=",
		"--follow", "--follow --brokers a:1 file", "--listen :0 --brokers a:1",
	} {
		if _, err := parseOptions(strings.Fields(args), io.Discard); !errors.Is(err, command.ErrUsage) {
			t.Errorf("%s: error %v, want a usage error", args, err)
		}
	}
}

func TestHelpNamesEveryFlag(t *testing.T) {
	var out strings.Builder
	if _, err := parseOptions([]string{"--help"}, &out); !errors.Is(err, command.ErrHelp) {
		t.Fatalf("error %v", err)
	}
	for _, flag := range []string{"--brokers", "--data", "--listen", "--follow", "--app", "--partitions", "--guarantee", "--instances"} {
		if !strings.Contains(out.String(), flag) {
			t.Errorf("help lacks %s", flag)
		}
	}
}
