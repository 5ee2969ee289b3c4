package commitlog

import (
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// epochsLog is a log of three epochs that begin at 0, 4 and 6, closed.
func epochsLog(t *testing.T) (*vfs.MemFS, *testLog, []EpochEntry) {
	t.Helper()
	mem := vfs.NewMem()
	l := openLog(t, mem, Config{}, OpenOptions{})
	for _, e := range []struct {
		epoch   LeaderEpoch
		records int
	}{{1, 4}, {3, 2}, {4, 5}} {
		if _, err := l.Append(makeBatch(batchOpts{}, values(0, e.records)...), AppendOptions{LeaderEpoch: e.epoch, Now: t0}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return mem, l, []EpochEntry{{Epoch: 1, Start: 0}, {Epoch: 3, Start: 4}, {Epoch: 4, Start: 6}}
}

// TestEpochCheckpointIsKafkasAlone: Kafka's server does not start on a checkpoint with a line that is none of its own.
func TestEpochCheckpointIsKafkasAlone(t *testing.T) {
	mem, _, _ := epochsLog(t)
	if got, want := string(fileBytes(t, mem, epochFile)), "0\n3\n1 0\n3 4\n4 6\n"; got != want {
		t.Errorf("the checkpoint is %q, want %q", got, want)
	}
}

// TestEpochsWhateverLiesInTheirFiles: one history comes out of every form of the two files, and of none.
func TestEpochsWhateverLiesInTheirFiles(t *testing.T) {
	mem, l, want := epochsLog(t)
	good, summary := fileBytes(t, mem, epochFile), fileBytes(t, mem, epochSummaryFile)
	for _, c := range []struct {
		name                string
		checkpoint, summary string // none where empty
	}{
		{"as written", string(good), string(summary)},
		{"both in one file, as an older version wrote", string(good) + string(summary), ""},
		{"Kafka's, without a summary", string(good), ""},
		{"Kafka's, and the log went on with the last epoch", "0\n2\n1 0\n3 4\n", ""},
		{"Kafka's, empty", "0\n0\n", ""},
		{"Kafka's, beside the summary of an earlier one", "0\n2\n1 0\n3 4\n", string(summary)},
		{"a digit is another", "0\n3\n1 0\n3 3\n4 6\n", string(summary)},
		{"cut inside its last number", "0\n3\n1 0\n3 4\n4 ", ""},
		{"cut behind its last number", "0\n3\n1 0\n3 4\n4 6", ""},
		{"the summary is cut", string(good), string(summary[:len(summary)/2])},
		{"the summary is longer than it can be", string(good), string(summary) + string(make([]byte, maxEpochSummary))},
		{"the summary ends below zero", string(good), "end -1\ncrc32c 00000000\n"},
		{"only the summary", "", string(summary)},
		{"neither", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, text := range map[string]string{epochFile: c.checkpoint, epochSummaryFile: c.summary} {
				if text != "" {
					setFile(t, mem, name, []byte(text))
				} else if err := removeIfExists(mem, mem.PathJoin(testDir, name)); err != nil {
					t.Fatal(err)
				}
			}
			for _, clean := range []bool{true, false} {
				r := openLog(t, mem, Config{}, OpenOptions{Checkpoint: l.Checkpoint(), Clean: clean})
				if !slices.Equal(r.epochs.entries, want) {
					t.Errorf("clean %v: the epochs are %v, want %v", clean, r.epochs.entries, want)
				}
			}
		})
	}
}

// TestClosedLogReadsNoBatchForItsEpochs: what the summary binds is believed, also where batches would tell otherwise.
func TestClosedLogReadsNoBatchForItsEpochs(t *testing.T) {
	mem, l, _ := epochsLog(t)
	told := epochCache{entries: []EpochEntry{{Epoch: 9, Start: 2}}}
	if err := told.save(mem, testDir, l.End()); err != nil {
		t.Fatal(err)
	}
	r := openLog(t, mem, Config{}, OpenOptions{Checkpoint: l.Checkpoint(), Clean: true})
	if !slices.Equal(r.epochs.entries, told.entries) {
		t.Errorf("the epochs are %v, want %v", r.epochs.entries, told.entries)
	}
}
