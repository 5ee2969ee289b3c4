package controller

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Fault is a refused request: Kafka's error and a text for the client.
type Fault struct {
	Kafka   *kerr.Error
	Message string
}

func (f *Fault) Error() string { return f.Kafka.Message + ": " + f.Message }

// Unwrap returns Kafka's error.
func (f *Fault) Unwrap() error { return f.Kafka }

// ClientMessage is the text that the response carries beside the code.
func (f *Fault) ClientMessage() string { return f.Message }

func fault(k *kerr.Error, format string, args ...any) error {
	return &Fault{k, fmt.Sprintf(format, args...)}
}
