package replica

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/internal/record"
)

// The checkpoint file holds one line for each log that has something to say, and ends with a checksum:
//
//	millrace checkpoint 1
//	<directory> <log start> <recovery point> <cleaned>
//	…
//	crc <8 hex digits of the CRC-32C of the lines before>
//
// A missing file means that nothing is known. A damaged one is an error: a log start that is forgotten would bring deleted records back.
const (
	checkpointFile   = "checkpoint"
	checkpointHeader = "millrace checkpoint 1\n"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func readCheckpoint(files vfs.FS, path string) (map[string]commitlog.Checkpoint, error) {
	out := map[string]commitlog.Checkpoint{}
	f, err := files.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return nil, fmt.Errorf("replica: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("replica: %s: %w", path, err)
	}
	cut := bytes.LastIndex(b, []byte("crc "))
	if cut < 0 || string(b[cut:]) != checksumLine(b[:cut]) {
		return nil, fmt.Errorf("replica: %s: the checksum does not hold: bring the file back, or remove it, which checks all logs and may bring records back that were deleted by request", path)
	}
	body, ok := bytes.CutPrefix(b[:cut], []byte(checkpointHeader))
	if !ok {
		return nil, fmt.Errorf("replica: %s: this program does not know the format", path)
	}
	for line := range bytes.Lines(body) {
		var dir string
		var start, recovery, cleaned int64
		if _, err := fmt.Sscanf(string(line), "%s %d %d %d\n", &dir, &start, &recovery, &cleaned); err != nil {
			return nil, fmt.Errorf("replica: %s: line %q: %w", path, line, err)
		}
		out[dir] = commitlog.Checkpoint{LogStart: record.Offset(start), RecoveryPoint: record.Offset(recovery), Cleaned: record.Offset(cleaned)}
	}
	return out, nil
}

func checksumLine(b []byte) string {
	return fmt.Sprintf("crc %08x\n", crc32.Checksum(b, castagnoli))
}

// writeCheckpoint replaces the file in one step.
func writeCheckpoint(files vfs.FS, dir string, points map[string]commitlog.Checkpoint, order []string) error {
	b := []byte(checkpointHeader)
	for _, name := range order {
		c := points[name]
		b = fmt.Appendf(b, "%s %d %d %d\n", name, c.LogStart, c.RecoveryPoint, c.Cleaned)
	}
	b = append(b, checksumLine(b)...)
	path := files.PathJoin(dir, checkpointFile)
	f, err := files.Create(path+".tmp", writeCategory)
	if err != nil {
		return fmt.Errorf("replica: %w", err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("replica: %s: %w", path, err)
	}
	if err := files.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("replica: %w", err)
	}
	return syncDir(files, dir)
}

func syncDir(files vfs.FS, dir string) error {
	d, err := files.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("replica: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("replica: flushing %s: %w", dir, err)
	}
	return nil
}

// writeCategory is what Pebble's file system calls a writer in its statistics.
const writeCategory = vfs.DiskWriteCategory("millrace-log")
