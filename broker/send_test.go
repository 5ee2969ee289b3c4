package broker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker/internal/api"
	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/internal/record"
)

// sendBatchBytes makes batches so large that a handful of them exceed every buffer on the way.
const sendBatchBytes = 900_000

// sectionLog is a log with batches of distinct bytes.
func sectionLog(t *testing.T, fsys vfs.FS, dir string, batches int) *commitlog.Log {
	t.Helper()
	l, err := commitlog.Open(fsys, dir, commitlog.Config{MaxBatchBytes: 1 << 20}, commitlog.OpenOptions{Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for i := range batches {
		var b record.Builder
		b.AppendRecord(0, nil, bytes.Repeat([]byte{byte(i)}, sendBatchBytes), nil)
		if _, err := l.Append(b.Finish(record.NoProducer, 0, record.None), commitlog.AppendOptions{Now: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func section(t *testing.T, l *commitlog.Log, from record.Offset) *commitlog.Section {
	t.Helper()
	s, ok := l.Section(from, commitlog.ReadOptions{MaxBytes: 3 << 20, UpTo: l.End()})
	if !ok {
		t.Fatalf("no section at %d", from)
	}
	t.Cleanup(s.Release)
	return &s
}

// tcpPair returns both ends of a connection over loopback.
func tcpPair(t *testing.T) (server, client net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if client, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return server, client
}

// TestPiecesArriveInOrder over sockets and in memory, from files of the operating system and from others, with empty pieces and without.
func TestPiecesArriveInOrder(t *testing.T) {
	dir := t.TempDir()
	for name, l := range map[string]*commitlog.Log{
		"files":         sectionLog(t, vfs.Default, filepath.Join(dir, "t-0"), 8),
		"not on a disk": sectionLog(t, vfs.NewMem(), "t-0", 8),
	} {
		pieces := []api.Piece{
			{Bytes: []byte("head")}, {Section: section(t, l, 0)}, {Bytes: []byte("between")}, {}, {Section: section(t, l, 4)}, {Bytes: []byte("tail")}, {},
		}
		var want []byte
		for i := range pieces {
			p := &pieces[i]
			if p.Section == nil {
				want = append(want, p.Bytes...)
				continue
			}
			b := make([]byte, p.Section.Len())
			if _, err := p.Section.ReadAt(b, 0); err != nil {
				t.Fatal(err)
			}
			want = append(want, b...)
		}
		for kind, pair := range map[string]func(*testing.T) (net.Conn, net.Conn){
			"tcp": tcpPair, "memory": func(*testing.T) (net.Conn, net.Conn) { return net.Pipe() },
		} {
			t.Run(name+" over "+kind, func(t *testing.T) {
				for _, upTo := range []int{len(pieces), 2, 5} { // ending with bytes, and with a section
					server, client := pair(t)
					sent := make(chan error, 1)
					go func() { sent <- errors.Join(sendPieces(server, pieces[:upTo]), server.Close()) }()
					got, err := io.ReadAll(client)
					if err := errors.Join(err, <-sent); err != nil {
						t.Fatal(err)
					}
					if !bytes.HasPrefix(want, got) || upTo == len(pieces) && len(got) != len(want) || len(got) < sendBatchBytes {
						t.Errorf("%d bytes of %d pieces are not what was sent", len(got), upTo)
					}
				}
			})
		}
	}
}

// TestAFileThatLostItsEndEndsTheAnswer: neither a wait without end nor other bytes in the place of those that are gone.
func TestAFileThatLostItsEndEndsTheAnswer(t *testing.T) {
	dir := t.TempDir()
	l := sectionLog(t, vfs.Default, filepath.Join(dir, "t-0"), 2)
	s := section(t, l, 0)
	files, err := filepath.Glob(filepath.Join(dir, "t-0", "*.log"))
	if err != nil || len(files) != 1 {
		t.Fatalf("log files %v: %v", files, err)
	}
	if err := os.Truncate(files[0], sendBatchBytes); err != nil {
		t.Fatal(err)
	}
	server, client := tcpPair(t)
	go func() { _, _ = io.Copy(io.Discard, client) }()
	if err := sendPieces(server, []api.Piece{{Section: s}}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("sending a file that is too short: %v", err)
	}
}

// TestAClientThatReadsNothingIsGivenUp at the connection's deadline, and one that is gone at once.
func TestAClientThatReadsNothingIsGivenUp(t *testing.T) {
	l := sectionLog(t, vfs.Default, filepath.Join(t.TempDir(), "t-0"), 8)
	pieces := make([]api.Piece, 20) // more than sockets take
	for i := range pieces {
		pieces[i].Section = section(t, l, 0)
	}
	server, client := tcpPair(t)
	server.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	if err := sendPieces(server, pieces); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("sending to a client that does not read: %v", err)
	}
	server.SetWriteDeadline(time.Time{})
	client.Close()
	if err := sendPieces(server, pieces); !gone(err) {
		t.Errorf("sending to a client that is gone: %v", err)
	}
}

// TestRecordsOverASocketAreWhatWasWritten: the way of sendfile, through a whole server; the client checks every batch's checksum.
func TestRecordsOverASocketAreWhatWasWritten(t *testing.T) {
	s := &Server{Config: Config{Dir: t.TempDir()}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, ErrServerClosed) {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(ln.Addr().String()), kgo.DefaultProduceTopic("t"), kgo.ConsumeTopics("t"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, 4, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	const n = 200
	for i := range n {
		cl.Produce(ctx, kgo.StringRecord(strings.Repeat(string(rune('a'+i%26)), 40_000+i)), nil)
	}
	if err := cl.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for len(seen) < n {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d records: %v", len(seen), err)
		}
		for r := range fetches.RecordsAll() {
			i := len(r.Value) - 40_000
			if i < 0 || i >= n || seen[i] || strings.Trim(string(r.Value), string(rune('a'+i%26))) != "" {
				t.Fatalf("a record of %d bytes that begins with %.10q", len(r.Value), r.Value)
			}
			seen[i] = true
		}
	}
}
