package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/internal/record"
)

// epochCache knows at which offset each leader epoch began. Both columns ascend strictly. It is guarded by Log.mu.
type epochCache struct {
	entries []EpochEntry
}

// assign notes that epoch begins at start. What contradicts it (the same or a later epoch, or a start at or past this one) was written by a
// leader that has been replaced, and goes. An epoch that is known to have begun earlier changes nothing.
func (c *epochCache) assign(epoch LeaderEpoch, start Offset) {
	if epoch < 0 {
		return
	}
	if last, ok := c.latest(); ok && last.Epoch == epoch && last.Start <= start {
		return
	}
	n := len(c.entries)
	for n > 0 && (c.entries[n-1].Epoch >= epoch || c.entries[n-1].Start >= start) {
		n--
	}
	c.entries = append(c.entries[:n], EpochEntry{Epoch: epoch, Start: start})
}

func (c *epochCache) latest() (EpochEntry, bool) {
	if n := len(c.entries); n > 0 {
		return c.entries[n-1], true
	}
	return EpochEntry{Epoch: record.NoLeaderEpoch, Start: record.NoOffset}, false
}

// at returns the epoch that o belongs to, or none.
func (c *epochCache) at(o Offset) LeaderEpoch {
	i := sort.Search(len(c.entries), func(i int) bool { return c.entries[i].Start > o })
	if i == 0 {
		return record.NoLeaderEpoch
	}
	return c.entries[i-1].Epoch
}

// endOf returns the largest known epoch that is not above the given one, and where it ends. An epoch above all known ones has no answer; one
// below them all is answered with itself and the first known start.
func (c *epochCache) endOf(epoch LeaderEpoch, logEnd Offset) (LeaderEpoch, Offset) {
	last, ok := c.latest()
	if epoch == record.NoLeaderEpoch || !ok || epoch > last.Epoch {
		return record.NoLeaderEpoch, record.NoOffset
	}
	if epoch == last.Epoch {
		return epoch, logEnd
	}
	i := sort.Search(len(c.entries), func(i int) bool { return c.entries[i].Epoch > epoch })
	if i == 0 {
		return epoch, c.entries[0].Start
	}
	return c.entries[i-1].Epoch, c.entries[i].Start
}

// cutEnd forgets what begins at end or later.
func (c *epochCache) cutEnd(end Offset) {
	n := sort.Search(len(c.entries), func(i int) bool { return c.entries[i].Start >= end })
	c.entries = c.entries[:n]
}

// cutStart forgets what ends at start or earlier; the epoch that start belongs to begins there now.
func (c *epochCache) cutStart(start Offset) {
	i := sort.Search(len(c.entries), func(i int) bool { return c.entries[i].Start > start })
	if i == 0 || (i == 1 && c.entries[0].Start == start) {
		return
	}
	c.entries = slices.Delete(c.entries, 0, i-1)
	c.entries[0].Start = start
}

// The checkpoint is Kafka's (a version, a count, one line for each entry) with two lines more: the log's end when it was written, and a
// checksum of all before.
const (
	epochFileVersion = 0
	epochEndPrefix   = "end "
	epochCRCPrefix   = "crc32c "
	maxEpochFile     = 4 << 20 // 100,000 leader changes

	// wholeLog is the end up to which Kafka's own checkpoint speaks: it is written at every change.
	wholeLog Offset = math.MaxInt64
)

func (c *epochCache) encode(end Offset) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d\n%d\n", epochFileVersion, len(c.entries))
	for _, e := range c.entries {
		fmt.Fprintf(&b, "%d %d\n", e.Epoch, e.Start)
	}
	fmt.Fprintf(&b, "%s%d\n", epochEndPrefix, end)
	fmt.Fprintf(&b, "%s%08x\n", epochCRCPrefix, crc32.Checksum(b.Bytes(), crcTable))
	return b.Bytes()
}

var errEpochFile = errors.New("leader epoch checkpoint does not hold")

// decodeEpochs reads a checkpoint, ours or Kafka's, and the end up to which it speaks.
func decodeEpochs(data []byte) (entries []EpochEntry, end Offset, err error) {
	text := string(data)
	end = wholeLog
	if i := strings.LastIndex(text, epochEndPrefix); i >= 0 {
		var crc uint32
		j := strings.LastIndex(text, epochCRCPrefix)
		if j < i {
			return nil, 0, errEpochFile
		}
		if _, err := fmt.Sscanf(text[i:], epochEndPrefix+"%d\n"+epochCRCPrefix+"%08x\n", &end, &crc); err != nil || crc != crc32.Checksum(data[:j], crcTable) {
			return nil, 0, errEpochFile
		}
		text = text[:i]
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 2 || lines[0] != strconv.Itoa(epochFileVersion) || lines[1] != strconv.Itoa(len(lines)-2) {
		return nil, 0, errEpochFile
	}
	for _, line := range lines[2:] {
		e, ok := parseEpochLine(line)
		if n := len(entries); !ok || (n > 0 && (entries[n-1].Epoch >= e.Epoch || entries[n-1].Start >= e.Start)) {
			return nil, 0, errEpochFile
		}
		entries = append(entries, e)
	}
	return entries, end, nil
}

func parseEpochLine(line string) (EpochEntry, bool) {
	epoch, start, ok := strings.Cut(line, " ")
	e, err1 := strconv.ParseInt(epoch, 10, 32)
	s, err2 := strconv.ParseInt(start, 10, 64)
	return EpochEntry{Epoch: LeaderEpoch(e), Start: Offset(s)}, ok && err1 == nil && err2 == nil && e >= 0 && s >= 0
}

// save writes the checkpoint. It is not flushed: what a crash spoils is built again from the batches' headers.
func (c *epochCache) save(fsys vfs.FS, dir string, end Offset) error {
	return writeFile(fsys, fsys.PathJoin(dir, epochFile), c.encode(end), false)
}

// loadEpochs reads the checkpoint; ok is false when it is missing or does not hold.
func loadEpochs(fsys vfs.FS, dir string) (entries []EpochEntry, end Offset, ok bool) {
	data, err := readSmallFile(fsys, fsys.PathJoin(dir, epochFile), maxEpochFile)
	if err != nil {
		return nil, 0, false
	}
	entries, end, err = decodeEpochs(data)
	return entries, end, err == nil
}
