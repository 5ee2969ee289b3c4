package coordinator

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
)

// clientError turns the log's refusal into what a client of the coordinator may see: it must retry, look for the coordinator
// again, or learn that its own request was at fault. Errors of the log that are not Kafka's mean that nobody knows
// whether the write happened; the client asks again.
func clientError(err error) error {
	var code *kerr.Error
	if !errors.As(err, &code) {
		if errors.Is(err, context.Canceled) {
			return kerr.NotCoordinator // the shard was resigned
		}
		return kerr.CoordinatorNotAvailable
	}
	switch code {
	case kerr.NotLeaderForPartition, kerr.KafkaStorageError, kerr.FencedLeaderEpoch:
		return kerr.NotCoordinator
	case kerr.UnknownTopicOrPartition, kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut:
		return kerr.CoordinatorNotAvailable
	case kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidFetchSize:
		return kerr.UnknownServerError
	}
	return code
}
