package commitlog

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/internal/record"
)

// TestScripts runs the stories in testdata. A command works on one log; its output is what the log answers.
//
//	open [segment=N] [compact] [delete] [verify] …   a new log on an empty file system
//	append [p=ID/EPOCH seq=N] [txn] [codec=C] [epoch=N] [origin=…] ts=N   one line a record: key=value, key=- (tombstone), =value (null key)
//	marker p=ID/EPOCH commit|abort [coordinator=N] [bumped]
//	read [from=N] [upto=N] │ state │ stable hw=N │ aborted from=N upto=N │ producers │ epochs │ time ts=N │ end-of-epoch N
//	roll │ flush │ close-open │ kill-open [drop=suffix,…] │ truncate to=N │ start to=N │ retain │ clean [upto=N] │ advance D
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		s := &script{t: t}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.t, s.d = t, d
			out, err := s.run()
			if err != nil {
				return "error: " + strings.ReplaceAll(err.Error(), testDir, "DIR") + "\n"
			}
			return out
		})
	})
}

type script struct {
	t   *testing.T
	d   *datadriven.TestData
	l   *Log
	fs  *vfs.MemFS
	cfg Config
	now time.Time
}

func (s *script) run() (string, error) {
	switch s.d.Cmd {
	case "open":
		return s.open()
	case "append":
		return s.append()
	case "marker":
		return s.marker()
	case "read":
		return s.read()
	case "state":
		return s.state(), nil
	case "stable":
		return fmt.Sprintf("%d\n", s.l.LastStable(s.offset("hw", s.l.End()))), nil
	case "aborted":
		return s.aborted()
	case "producers":
		return s.producers(), nil
	case "epochs":
		return fmt.Sprintf("%v\n", s.l.epochs.entries), nil
	case "end-of-epoch":
		e, o := s.l.EndOffsetForEpoch(LeaderEpoch(s.offset("epoch", 0)))
		return fmt.Sprintf("epoch %d ends at %d\n", e, o), nil
	case "time":
		return s.time()
	case "advance":
		d, err := time.ParseDuration(s.d.CmdArgs[0].Key)
		s.now = s.now.Add(d)
		return "", err
	default:
		return s.change()
	}
}

// change runs the commands that answer with the log's state.
func (s *script) change() (string, error) {
	var err error
	var out string
	switch s.d.Cmd {
	case "roll":
		err = s.l.Roll(s.now)
	case "flush":
		err = s.l.Flush(s.offset("upto", s.l.End()))
	case "close-open":
		if err = s.l.Close(); err == nil {
			s.l, err = tryOpen(s.fs, s.cfg, OpenOptions{Checkpoint: s.l.Checkpoint(), Clean: true, Now: s.now})
		}
	case "kill-open":
		err = s.kill()
	case "truncate":
		_, err = s.l.Truncate(s.offset("to", 0))
	case "reset":
		err = s.l.Reset(s.offset("to", 0))
	case "start":
		err = s.l.AdvanceLogStart(s.offset("to", 0))
	case "retain":
		var n int
		n, err = s.l.DeleteOldSegments(s.now, s.offset("upto", s.l.End()))
		out = fmt.Sprintf("%d segments deleted\n", n)
	case "expire":
		out = fmt.Sprintf("%d producers forgotten\n", s.l.ExpireProducers(s.now))
	case "clean":
		var st CleanStats
		st, err = s.l.Clean(CleanOptions{UpTo: s.offset("upto", s.l.LastStable(s.l.End())), Now: s.now})
		out = fmt.Sprintf("records %d -> %d, cleaned to %d\n", st.RecordsRead, st.RecordsKept, st.Cleaned)
	default:
		s.t.Fatalf("%s: unknown command %s", s.d.Pos, s.d.Cmd)
	}
	if err != nil {
		return "", err
	}
	return out + s.state(), nil
}

func (s *script) has(arg string) bool { return s.d.HasArg(arg) }

func (s *script) word(arg, def string) string {
	if s.d.HasArg(arg) {
		s.d.ScanArgs(s.t, arg, &def)
	}
	return def
}

func (s *script) offset(arg string, def Offset) Offset {
	v, err := strconv.ParseInt(s.word(arg, strconv.FormatInt(int64(def), 10)), 10, 64)
	if err != nil {
		s.t.Fatalf("%s: %s: %v", s.d.Pos, arg, err)
	}
	return Offset(v)
}

func (s *script) open() (string, error) {
	s.fs, s.now = vfs.NewMem(), t0
	s.cfg = Config{
		SegmentBytes: int64(s.offset("segment", 1<<20)), IndexInterval: 1, Compact: s.has("compact"), Delete: s.has("delete"),
		RetentionBytes: int64(s.offset("retention-bytes", 0)), Retention: time.Duration(s.offset("retention", 0)) * time.Millisecond,
		SegmentAge: time.Duration(s.offset("segment-age", 0)) * time.Millisecond, LogAppendTime: s.has("log-append-time"),
		DeleteRetention: time.Duration(s.offset("delete-retention", 1000)) * time.Millisecond, VerifyTransactions: s.has("verify"),
		MinCompactionLag: time.Duration(s.offset("min-lag", 0)) * time.Millisecond, CleanerMemory: int(s.offset("memory", 0)),
	}
	var err error
	s.l, err = tryOpen(s.fs, s.cfg, OpenOptions{Now: s.now})
	return "", err
}

// kill opens the files once more as after a kill, without the files whose suffix is dropped.
func (s *script) kill() error {
	if s.has("drop") {
		names, err := s.fs.List(testDir)
		if err != nil {
			return err
		}
		for _, name := range names {
			if slices.Contains(strings.Split(s.word("drop", ""), ","), suffixOf(name)) || name == s.word("drop", "") {
				if err := s.fs.Remove(s.fs.PathJoin(testDir, name)); err != nil {
					return err
				}
			}
		}
	}
	cp := s.l.Checkpoint()
	cp.RecoveryPoint = s.offset("recovery-point", cp.RecoveryPoint)
	var err error
	s.l, err = tryOpen(s.fs, s.cfg, OpenOptions{Checkpoint: cp, Now: s.now})
	return err
}

func (s *script) producer() record.Producer {
	p := record.NoProducer
	if s.has("p") {
		if _, err := fmt.Sscanf(s.word("p", ""), "%d/%d", &p.ID, &p.Epoch); err != nil {
			s.t.Fatalf("%s: p: %v", s.d.Pos, err)
		}
		p.BaseSequence = int32(s.offset("seq", 0))
	}
	return p
}

func (s *script) append() (string, error) {
	o := batchOpts{producer: s.producer()}
	if s.has("txn") {
		o.attrs |= record.Transactional
	}
	var err error
	if o.codec, err = record.ParseCodec(s.word("codec", "none")); err != nil {
		return "", err
	}
	var records []kv
	for i, line := range strings.Split(strings.TrimSpace(s.d.Input), "\n") {
		k, v, _ := strings.Cut(line, "=")
		if v == "-" {
			v = tombstone
		}
		records = append(records, kv{key: k, value: v, ts: int64(s.offset("ts", 0)) + int64(i)})
	}
	b := makeBatch(o, records...)
	ao := AppendOptions{LeaderEpoch: LeaderEpoch(s.offset("epoch", 0)), Now: s.now}
	switch s.word("origin", "client") {
	case "coordinator":
		ao.Origin = Coordinator
	case "replication":
		ao.Origin = Replication
		b.SetBaseOffset(s.offset("base", s.l.End()))
		b.SetLeaderEpoch(ao.LeaderEpoch)
	}
	if s.has("confirmed") {
		if ao.Verified, err = s.l.BeginVerification(s.now, o.producer.ID, o.producer.Epoch, o.producer.BaseSequence, s.has("bumped")); err != nil {
			return "", err
		}
	}
	return describe(s.l.Append(b, ao))
}

func describe(info AppendInfo, err error) (string, error) {
	if err != nil {
		return "", err
	}
	out := fmt.Sprintf("[%d-%d]", info.FirstOffset, info.LastOffset)
	if info.Duplicate {
		out += " duplicate"
	}
	return out + "\n", nil
}

func (s *script) marker() (string, error) {
	p := s.producer()
	return describe(s.l.AppendMarker(MarkerOptions{
		ProducerID: p.ID, ProducerEpoch: p.Epoch, CoordinatorEpoch: int32(s.offset("coordinator", 0)), Commit: s.has("commit"),
		EpochBumped: s.has("bumped"), Now: s.now,
	}))
}

func (s *script) read() (string, error) {
	res, err := s.l.Read(nil, s.offset("from", s.l.LogStart()), ReadOptions{MaxBytes: 1 << 20, UpTo: s.offset("upto", s.l.End()), AtLeastOne: true})
	if err != nil {
		return "", err
	}
	return dump(s.t, res.Bytes), nil
}

func (s *script) state() string {
	var bases []string
	for _, seg := range s.l.segs() {
		bases = append(bases, strconv.FormatInt(int64(seg.base), 10))
	}
	return fmt.Sprintf("[%d, %d) segments %s\n", s.l.LogStart(), s.l.End(), strings.Join(bases, " "))
}

func (s *script) aborted() (string, error) {
	txns, err := s.l.AbortedIn(nil, s.offset("from", 0), s.offset("upto", s.l.End()))
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, a := range txns {
		fmt.Fprintf(&out, "p%d [%d-%d]\n", a.ProducerID, a.FirstOffset, a.LastOffset)
	}
	if len(txns) == 0 {
		return "none\n", nil
	}
	return out.String(), nil
}

func (s *script) producers() string {
	var out strings.Builder
	for _, p := range s.l.ActiveProducers() {
		fmt.Fprintf(&out, "p%d/%d last seq %d, coordinator %d", p.ID, p.Epoch, p.LastSequence, p.CoordinatorEpoch)
		if p.TxnStart >= 0 {
			fmt.Fprintf(&out, ", transaction from %d", p.TxnStart)
		}
		out.WriteString("\n")
	}
	if out.Len() == 0 {
		return "none\n"
	}
	return out.String()
}

func (s *script) time() (string, error) {
	var at TimestampOffset
	var ok bool
	var err error
	if s.has("max") {
		at, ok, err = s.l.MaxTimestamp(s.offset("upto", s.l.End()))
	} else {
		at, ok, err = s.l.OffsetForTime(t0.UnixMilli()+int64(s.offset("ts", 0)), s.offset("upto", s.l.End()))
	}
	if err != nil || !ok {
		return "none\n", err
	}
	return fmt.Sprintf("offset %d, ts %d, epoch %d\n", at.Offset, at.Timestamp-t0.UnixMilli(), at.LeaderEpoch), nil
}
