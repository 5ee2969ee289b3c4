package api

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// served is what Apache Kafka 4.3 serves on a client's listener of all that an ordinary client, tool or framework needs, by key: the lowest and the highest version.
var served = map[int16][2]int16{
	0: {3, 13}, 1: {4, 18}, 2: {1, 11}, 3: {0, 13}, 8: {2, 10}, 9: {1, 10}, 10: {0, 6}, 11: {0, 9}, 12: {0, 4}, 13: {0, 5}, 14: {0, 5},
	15: {0, 6}, 16: {0, 5}, 17: {0, 1}, 18: {0, 4}, 19: {2, 7}, 20: {1, 6}, 21: {0, 2}, 22: {0, 5}, 23: {2, 4}, 24: {0, 5}, 25: {0, 4},
	26: {0, 5}, 27: {1, 2}, 28: {0, 5}, 29: {1, 3}, 30: {1, 3}, 31: {1, 3}, 32: {1, 4}, 33: {0, 2}, 35: {1, 5}, 36: {0, 2}, 37: {0, 3},
	42: {0, 2}, 43: {0, 2}, 44: {0, 1}, 45: {0, 1}, 46: {0, 0}, 47: {0, 0}, 48: {0, 1}, 49: {0, 1}, 50: {0, 0}, 51: {0, 0}, 55: {0, 2},
	57: {0, 2}, 60: {0, 2}, 61: {0, 0}, 65: {0, 0}, 66: {0, 2}, 75: {0, 0},
}

// consumerGroups are the requests of KIP-848. They are served with the feature group.version, all of them or none.
var consumerGroups = map[int16][2]int16{68: {0, 1}, 69: {0, 1}}

func TestWhatClientsNeedIsServedInEveryVersion(t *testing.T) {
	have := map[int16][2]int16{}
	for _, row := range Table() {
		have[row.Key] = [2]int16{row.Min, row.Max}
		want, ok := served[row.Key]
		if !ok {
			want, ok = consumerGroups[row.Key]
		}
		if !ok {
			t.Errorf("%s is served, which switches on clients that expect more of it than there is", kmsg.NameForKey(row.Key))
		} else if want != have[row.Key] {
			t.Errorf("%s is served in versions %d to %d, Kafka serves %d to %d", kmsg.NameForKey(row.Key), row.Min, row.Max, want[0], want[1])
		}
	}
	for key, want := range served {
		if _, ok := have[key]; !ok {
			t.Errorf("%s is not served; Kafka serves %d to %d", kmsg.NameForKey(key), want[0], want[1])
		}
	}
	_, beat := have[68]
	_, describe := have[69]
	feature := slices.ContainsFunc(supportedFeatures, func(f struct {
		name     string
		min, max int16
	}) bool {
		return f.name == "group.version"
	})
	if beat != describe || beat != feature {
		t.Errorf("consumer groups are told by halves: heartbeat %t, describe %t, feature group.version %t", beat, describe, feature)
	}
}
