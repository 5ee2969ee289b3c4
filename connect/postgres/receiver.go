package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// receiver reads a replication stream and tells the server how far it may forget. Two goroutines: one reads, one writes status updates, so that the
// server never takes a connector that waits for its log for dead.
type receiver struct {
	conn     net.Conn
	frontend *pgproto3.Frontend
	chunks   chan *chunk // to the decoder, in order; closed when the stream ends
	free     chan *chunk
	err      error // why the stream ended; valid when chunks is closed

	confirmed atomic.Uint64 // the position that the server may forget up to
	urgent    chan struct{} // asks for a status update now
	done      chan struct{} // closed when the receiver is to end
	wait      sync.WaitGroup
	once      sync.Once
}

// chunk is a piece of the stream: whole messages one after the other. The decoder owns it until it gives it back.
type chunk struct {
	data []byte
	ends []int // of each message in data
}

const (
	chunkBytes   = 128 << 10
	chunksOnWay  = 16 // 2 MiB read ahead, a message that is larger by itself excepted
	statusEvery  = time.Second
	writeTimeout = 10 * time.Second
)

// receive starts the stream at a position. The slot and the publication are called as the connector.
func receive(ctx context.Context, conn *pgconn.PgConn, name string, from pglogrepl.LSN) (*receiver, error) {
	err := pglogrepl.StartReplication(ctx, conn, name, from, pglogrepl.StartReplicationOptions{
		Mode:       pglogrepl.LogicalReplication,
		PluginArgs: []string{"proto_version '1'", "publication_names '" + quoteName(name) + "'"},
	})
	if err != nil {
		return nil, fmt.Errorf("postgres: start replication from slot %s at %s: %w", name, from, explain(err))
	}
	hijacked, err := conn.Hijack() // reads and status updates go on side by side, which a PgConn does not allow
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	r := &receiver{
		conn: hijacked.Conn, frontend: hijacked.Frontend,
		chunks: make(chan *chunk, chunksOnWay), free: make(chan *chunk, chunksOnWay+2), urgent: make(chan struct{}, 1), done: make(chan struct{}),
	}
	r.confirmed.Store(uint64(from))
	r.wait.Go(r.read)
	r.wait.Go(r.report)
	return r, nil
}

// stop ends the stream and waits for its goroutines.
func (r *receiver) stop() {
	r.once.Do(func() {
		close(r.done)
		r.conn.Close()
	})
	r.wait.Wait()
}

// confirm lets the server forget what lies before lsn.
func (r *receiver) confirm(lsn pglogrepl.LSN) { r.confirmed.Store(uint64(lsn)) }

// hurry sends a status update now.
func (r *receiver) hurry() {
	select {
	case r.urgent <- struct{}{}:
	default:
	}
}

func (r *receiver) read() {
	defer close(r.chunks)
	c := r.chunk()
	for {
		message, err := r.frontend.Receive()
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = errStreamFinished
			}
			r.err = fmt.Errorf("postgres: read the stream: %w", err)
			return
		}
		switch m := message.(type) {
		case *pgproto3.CopyData:
			c.data = append(c.data, m.Data...)
			c.ends = append(c.ends, len(c.data))
			if len(c.data) < chunkBytes && r.frontend.ReadBufferLen() > 0 {
				continue // more is here already
			}
			select {
			case r.chunks <- c:
			case <-r.done:
				return
			}
			c = r.chunk()
		case *pgproto3.ErrorResponse:
			r.err = fmt.Errorf("postgres: the stream ended: %w", explain(pgconn.ErrorResponseToPgError(m)))
			return
		case *pgproto3.CopyDone:
			r.err = errStreamFinished
			return
		}
	}
}

func (r *receiver) chunk() *chunk {
	select {
	case c := <-r.free:
		c.data, c.ends = c.data[:0], c.ends[:0]
		return c
	default:
		return &chunk{data: make([]byte, 0, chunkBytes+chunkBytes/4)}
	}
}

// release gives a chunk back. One that a large message has blown up is left to the garbage collector.
func (r *receiver) release(c *chunk) {
	if cap(c.data) > 2*chunkBytes {
		return
	}
	select {
	case r.free <- c:
	default:
	}
}

// report tells the server every second what is confirmed and asks for its position in return.
func (r *receiver) report() {
	tick := time.NewTicker(statusEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.done:
			return
		case <-tick.C:
		case <-r.urgent:
		}
		if err := r.status(); err != nil {
			r.conn.Close() // the reader ends with the reason
			return
		}
	}
}

// postgresEpoch is where Postgres counts microseconds from.
var postgresEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// status sends a standby status update:
//
//	┌───┬─────────────┬─────────────┬─────────────┬──────────┬─────────┐
//	│'r'│ written u64 │ flushed u64 │ applied u64 │ µs, u64  │ reply u8│
//	└───┴─────────────┴─────────────┴─────────────┴──────────┴─────────┘
func (r *receiver) status() error {
	at := r.confirmed.Load()
	data := []byte{pglogrepl.StandbyStatusUpdateByteID}
	for range 3 {
		data = binary.BigEndian.AppendUint64(data, at)
	}
	data = binary.BigEndian.AppendUint64(data, uint64(time.Since(postgresEpoch).Microseconds()))
	data = append(data, 1)
	frame, err := (&pgproto3.CopyData{Data: data}).Encode(nil)
	if err != nil {
		return fmt.Errorf("postgres: status update: %w", err)
	}
	if err := r.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return fmt.Errorf("postgres: status update: %w", err)
	}
	if _, err := r.conn.Write(frame); err != nil {
		return fmt.Errorf("postgres: status update: %w", err)
	}
	return nil
}
