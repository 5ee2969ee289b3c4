package main

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/examples/internal/place"
)

// readCounts returns the last committed count of every word.
func readCounts(ctx context.Context, c *place.Cluster) (map[string]int64, error) {
	counts := map[string]int64{}
	err := place.ReadTopic(ctx, c, wordCounts.Name(), func(r *kgo.Record) error {
		n, err := wordCounts.ValueSerde().Decode(r.Value)
		counts[string(r.Key)] = n
		return err
	})
	return counts, err
}
