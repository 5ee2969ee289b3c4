package commitlog

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The checkpoint of the epochs is Kafka's file (a version, a count, one line for each entry), and Kafka's server takes no line but these. What
// is ours lies in the summary beside it: the log's end when both were written, and a checksum of the checkpoint and that line. An older form
// had the summary's lines at the end of the checkpoint, so both forms are read as one text.
const (
	epochFileVersion = 0
	epochEndPrefix   = "end "
	epochCRCPrefix   = "crc32c "
	maxEpochFile     = 4 << 20 // 100,000 leader changes
	maxEpochSummary  = 64      // two lines
)

// encode returns the checkpoint and its summary for a log that ends at end.
func (c *epochCache) encode(end Offset) (checkpoint, summary []byte) {
	checkpoint = fmt.Appendf(nil, "%d\n%d\n", epochFileVersion, len(c.entries))
	for _, e := range c.entries {
		checkpoint = fmt.Appendf(checkpoint, "%d %d\n", e.Epoch, e.Start)
	}
	summary = fmt.Appendf(nil, "%s%d\n", epochEndPrefix, end)
	sum := crc32.Update(crc32.Checksum(checkpoint, crcTable), crcTable, summary)
	return checkpoint, fmt.Appendf(summary, "%s%08x\n", epochCRCPrefix, sum)
}

// decodeEpochs reads a checkpoint and its summary, which is empty where Kafka wrote the checkpoint. Epochs that began at upTo or later are for
// the batches to tell; without a summary that is where the last entry begins, since the log may have been written to after its checkpoint.
func decodeEpochs(checkpoint, summary []byte) (entries []EpochEntry, upTo Offset, ok bool) {
	data := checkpoint
	if len(summary) > 0 {
		data = bytes.Join([][]byte{checkpoint, summary}, nil)
	}
	theirs, summed := data, false
	if i := bytes.LastIndex(data, []byte(epochEndPrefix)); i >= 0 {
		if upTo, ok = decodeEpochSummary(data, i); !ok {
			return nil, 0, false
		}
		theirs, summed = data[:i], true
	}
	if entries, ok = parseEpochs(string(theirs)); !ok {
		return nil, 0, false
	}
	if n := len(entries); !summed && n > 0 {
		upTo = entries[n-1].Start
	}
	return entries, upTo, true
}

// decodeEpochSummary reads the two lines of a summary, which begin at data[at:], and holds the checksum against all before it.
func decodeEpochSummary(data []byte, at int) (end Offset, ok bool) {
	var crc uint32
	if _, err := fmt.Sscanf(string(data[at:]), epochEndPrefix+"%d\n"+epochCRCPrefix+"%08x\n", &end, &crc); err != nil {
		return 0, false
	}
	sum := bytes.LastIndex(data, []byte(epochCRCPrefix))
	return end, sum > at && end >= 0 && crc == crc32.Checksum(data[:sum], crcTable)
}

// parseEpochs reads a checkpoint in Kafka's form. A last line that does not end is a line of which a part may be missing.
func parseEpochs(text string) (entries []EpochEntry, ok bool) {
	text, ok = strings.CutSuffix(text, "\n")
	lines := strings.Split(text, "\n")
	if !ok || len(lines) < 2 || lines[0] != strconv.Itoa(epochFileVersion) || lines[1] != strconv.Itoa(len(lines)-2) {
		return nil, false
	}
	for _, line := range lines[2:] {
		e, ok := parseEpochLine(line)
		if n := len(entries); !ok || (n > 0 && (entries[n-1].Epoch >= e.Epoch || entries[n-1].Start >= e.Start)) {
			return nil, false
		}
		entries = append(entries, e)
	}
	return entries, true
}

func parseEpochLine(line string) (EpochEntry, bool) {
	epoch, start, ok := strings.Cut(line, " ")
	e, err1 := strconv.ParseInt(epoch, 10, 32)
	s, err2 := strconv.ParseInt(start, 10, 64)
	return EpochEntry{Epoch: LeaderEpoch(e), Start: Offset(s)}, ok && err1 == nil && err2 == nil && e >= 0 && s >= 0
}

// save writes the checkpoint, then the summary. Neither is flushed: what a crash spoils, and a checkpoint whose summary is that of another, is
// built again from the batches' headers.
func (c *epochCache) save(fsys vfs.FS, dir string, end Offset) error {
	checkpoint, summary := c.encode(end)
	if err := writeDerived(fsys, fsys.PathJoin(dir, epochFile), checkpoint); err != nil {
		return err
	}
	return writeDerived(fsys, fsys.PathJoin(dir, epochSummaryFile), summary)
}

// kafkaHad tells whether Kafka had the log since our last stop: it wrote the checkpoint, without a summary. After a clean stop of ours, which leaves none such, a summary that
// does not fit tells the same.
func kafkaHad(fsys vfs.FS, dir string, clean bool) bool {
	checkpoint, err := readSmallFile(fsys, fsys.PathJoin(dir, epochFile), maxEpochFile)
	if err != nil {
		return false
	}
	if _, ok := parseEpochs(string(checkpoint)); !ok {
		return false
	}
	summary, err := readSmallFile(fsys, fsys.PathJoin(dir, epochSummaryFile), maxEpochSummary)
	if err != nil {
		return isNotExist(err)
	}
	_, _, fits := decodeEpochs(checkpoint, summary)
	return clean && !fits
}

// loadEpochs reads the checkpoint with its summary. Where it is missing or does not hold there are no entries, up to offset 0.
func loadEpochs(fsys vfs.FS, dir string) (entries []EpochEntry, upTo Offset) {
	checkpoint, err := readSmallFile(fsys, fsys.PathJoin(dir, epochFile), maxEpochFile)
	if err != nil {
		return nil, 0
	}
	summary, err := readSmallFile(fsys, fsys.PathJoin(dir, epochSummaryFile), maxEpochSummary)
	if err != nil && !isNotExist(err) {
		return nil, 0
	}
	entries, upTo, _ = decodeEpochs(checkpoint, summary)
	return entries, upTo
}
